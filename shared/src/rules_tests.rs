use super::*;
use crate::catalogue::Catalogue;
use crate::catalogue::testing::{CHANGING, OTHER_RULES, Publisher, Rotated, depends_on, other_artifact, record};
use crate::record::{Record, State};

#[test]
fn without_a_switch_the_same_rules_hold_for_ever_and_none_beside_them() {
    let schedule = Schedule::default();
    for epoch in [0, 7, u64::MAX] {
        assert_eq!((schedule.at(epoch), schedule.beside(epoch)), (Rules::FIRST, None));
    }
    assert_eq!((schedule.numbered(1), schedule.numbered(2)), (Some(Rules::FIRST), None));
}

#[test]
fn both_rules_are_served_until_some_epochs_after_the_switch() {
    let expected = [
        (0, Rules::FIRST, Some(Rules::FIRST)),
        (9, Rules::FIRST, Some(Rules::FIRST)),
        (10, OTHER_RULES, Some(Rules::FIRST)),
        (11, OTHER_RULES, Some(Rules::FIRST)),
        (12, OTHER_RULES, None),
        (u64::MAX, OTHER_RULES, None),
    ];
    for (epoch, rules, beside) in expected {
        assert_eq!((CHANGING.at(epoch), CHANGING.beside(epoch)), (rules, beside), "{epoch}");
    }
    assert_ne!(Rules::FIRST, OTHER_RULES);
    let numbered = [0, 1, 2, 3].map(|number| CHANGING.numbered(number));
    assert_eq!(numbered, [None, Some(Rules::FIRST), Some(OTHER_RULES), None]);
}

/// Records of all kinds, from which every keyspace, every part of the analyser and every part of a rank has something.
fn records() -> Vec<Record> {
    let [one, two, three] = [1, 2, 3].map(Publisher::new);
    let base = one.release(0, "serde-json", "1.0.0", |release| {
        release.title = Some("Cookies & Libraries".into());
        release.description = "Größte ﬁles in 東京, read by parsers (classes, boxes, ties): Ω ½ naïve İstanbul".into();
        release.categories = vec!["Data Formats".into(), "encoding".into()];
        release.tags = vec!["JSON".into(), "no_std".into()];
        release.license = Some("MIT OR Apache-2.0".into());
        release.authors = vec!["Ada".into()];
    });
    let user = |publisher: &Publisher, name| {
        publisher.release(0, name, "0.1.0-rc.1", |release| {
            release.dependencies = vec![depends_on(&base.package())];
        })
    };
    let lost = one.release(1, "lost", "1.0.0", |_| {});
    let Rotated { after, pages, rotation } = one.rotate(&[base.id()]);
    let contested = |index, content| {
        after.release(index, "contested", "1.0.0", |release| release.artifact = other_artifact(content))
    };
    let yanked = after.release(4, "yanked", "2.0.0", |_| {});
    let status = after.status(5, "yanked", "2.0.0", 1, State::Yanked, |_| {});
    let unknown = after.unknown(99, 6, "of a kind that is to come");
    let releases = [base.clone(), lost, user(&two, "user"), user(&three, "other")];
    let later = [contested(2, "a"), contested(3, "b"), after.release(7, "contested", "0.9.0", |_| {}), yanked];
    [one.inception(), two.inception(), three.inception()]
        .into_iter()
        .chain(releases.map(record))
        .chain(pages.into_iter().map(|page| Record::KeepPage(Box::new(page))))
        .chain([Record::Rotation(Box::new(rotation))])
        .chain(later.map(record))
        .chain([Record::Status(Box::new(status)), Record::Unknown(Box::new(unknown))])
        .collect()
}

/// What the rules make of [`records`]: their number, and the root.
const MAPS: [(Rules, &str); 1] = [(Rules::FIRST, "764e347d0b6d060d8d215a30b56245382f63181c2b18827f29408de8210d5073")];
/// The hash of the ids of [`records`].
const RECORDS: &str = "971e9879ad2ce36385c6a7f0443bd0142eba879587e0ddce037be06233428a55";

#[test]
fn a_map_that_is_made_otherwise_is_made_by_other_rules() {
    let records = records();
    let ids: Vec<u8> = records.iter().flat_map(|record| *record.id().as_bytes()).collect();
    assert_eq!(
        blake3::hash(&ids).to_string(),
        RECORDS,
        "the records of this test have changed: while the map by the rules is still what it was, write down its root and this hash anew"
    );
    for (rules, root) in MAPS {
        let mut catalogue = Catalogue::by(rules);
        for record in &records {
            catalogue.insert(record.clone()).unwrap();
        }
        assert_eq!(
            catalogue.root().to_string(),
            root,
            "the rules {} make another map of the same records. Relays and clients that were released would take it for a lie: leave these \
             rules as they were, put what is new into rules with the next number, add their root here, and name the epoch of the switch in \
             `Schedule`",
            rules.number
        );
    }
}
