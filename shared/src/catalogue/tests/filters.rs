//! Filters and orders: each page is what a plain list of all packages gives, filtered and sorted.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::catalogue::answer;
use crate::catalogue::find::MAX_WALKED;
use crate::catalogue::testing::{Publisher, Relay, depends_on};
use crate::id::RecordId;
use crate::protocol::query::Search;
use crate::record::{Release, Verified};
use crate::search::analyser::Tokens;
use crate::search::query::{Filters, Order, Query};
use crate::search::rank::Rank;
use crate::search::verified::VerifiedSearch;

const ORDERS: [Order; 4] = [Order::Best, Order::Newest, Order::Name, Order::Dependents];

fn publishers() -> [Publisher; 3] {
    [1, 2, 3].map(Publisher::new)
}

fn relay(releases: impl IntoIterator<Item = Verified<Release>>) -> Relay {
    let publishers = publishers();
    Relay::new(&publishers.iter().collect::<Vec<_>>(), releases)
}

fn ids(page: &VerifiedSearch) -> Vec<RecordId> {
    page.hits.iter().map(|hit| hit.as_ref().unwrap().release.id()).collect()
}

/// Packages of three publishers that say little, so that every filter lets some through.
fn corpus() -> impl Strategy<Value = Vec<Verified<Release>>> {
    let one = (0_usize..3, 0_usize..4, 0_usize..4, 0_usize..3, 0_u64..4, any::<bool>());
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let publishers = publishers();
        let releases = (0..).zip(all).map(|(index, (publisher, category, license, tag, created, depends))| {
            publishers[publisher].release(index, &format!("package{index}"), "1.0.0", |release| {
                release.categories =
                    ["Web", "web", "command-line", "Fonts"].get(category).into_iter().map(|it| (*it).into()).collect();
                release.license =
                    [None, Some("MIT OR Apache-2.0"), Some("(MIT/Zlib)"), Some("GPL-3.0")][license].map(Into::into);
                release.tags = vec![["fast parser", "Parser", "tool"][tag].into()];
                release.description = if created % 2 == 0 { "a common word".into() } else { "a word".into() };
                release.created = created;
                if depends {
                    let on = &publishers[(publisher + 1) % 3];
                    release.dependencies = vec![depends_on(&on.package(&format!("package{}", index % 5)))];
                }
            })
        });
        releases.collect()
    })
}

fn filters() -> impl Strategy<Value = Filters> {
    let category = prop::sample::select(vec![None, Some("WEB"), Some("Command Line"), Some("absent")]);
    let license = prop::sample::select(vec![None, Some("mit"), Some("apache-2.0"), Some("zlib")]);
    let keyword = prop::sample::select(vec![None, Some("fast-parser"), Some("parser")]);
    let publisher = prop::sample::select(vec![None, Some(1), Some(2), Some(9)]);
    let depends_on = prop::sample::select(vec![None, None, Some("package1")]);
    (category, license, keyword, publisher, depends_on).prop_map(|(category, license, keyword, publisher, on)| {
        Filters {
            category: category.map(Into::into),
            license: license.map(Into::into),
            keyword: keyword.map(Into::into),
            publisher: publisher.map(|seed| Publisher::new(seed).id()),
            depends_on: on.map(|name| Publisher::new(1).package(name)),
        }
    })
}

fn pages(relay: &Relay, mut question: Search) -> Vec<VerifiedSearch> {
    let mut pages = Vec::new();
    loop {
        let page = relay.search(&question);
        question.cursor = page.cursor.clone();
        pages.push(page);
        assert!(pages.len() < 1000, "pages without an end");
        if question.cursor.is_none() {
            return pages;
        }
    }
}

/// All packages that are asked for, in order: how popular each is comes from the catalogue.
fn expected(relay: &Relay, question: &Search) -> Vec<RecordId> {
    let query = Query::new(&question.text, &question.filters, question.order).unwrap();
    let listed = relay.catalogue.map().iter(b"n/").map(|(_, leaf)| leaf.listed().unwrap());
    let mut all: Vec<_> = listed
        .filter_map(|listed| {
            let release = relay
                .catalogue
                .packages()
                .find_map(|id| relay.catalogue.head(id).filter(|it| it.id() == listed.head))?;
            let tokens = Tokens::of(release);
            let is_asked_for = query.matches(&tokens) && query.admits(release);
            is_asked_for.then(|| (query.place(release, &tokens, listed.popularity), listed.head))
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, id)| id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_page_is_what_a_plain_list_gives(
        releases in corpus(),
        filters in filters(),
        order in prop::sample::select(ORDERS.to_vec()),
        text in prop::sample::select(vec!["", "word", "common word", "pars"]),
        limit in 1_u16..9,
    ) {
        let relay = relay(releases);
        let question = Search { text: text.into(), limit, filters, order, ..Search::default() };
        let expected = expected(&relay, &question);
        let pages = pages(&relay, question.clone());
        let mut paged: Vec<_> = pages.iter().flat_map(ids).collect();
        if order == Order::Best && !text.is_empty() {
            // The words of a range are in order, those of a query only on their page.
            prop_assert_eq!(paged.len(), expected.len());
            prop_assert_eq!(paged.drain(..).collect::<BTreeSet<_>>(), expected.into_iter().collect());
        } else {
            prop_assert_eq!(&paged, &expected);
            let most = pages.iter().map(|page| page.total).max().unwrap();
            prop_assert!(most <= expected.len() as u64, "no count says more than there are");
            if pages[0].total_is_exact {
                prop_assert_eq!(pages[0].total, expected.len() as u64);
            }
        }
        for page in &pages {
            prop_assert!(page.hits.len() <= usize::from(limit));
        }
    }

    #[test]
    fn every_range_has_every_match(releases in corpus(), filters in filters(), order in prop::sample::select(ORDERS.to_vec())) {
        let relay = relay(releases.iter().cloned());
        let query = Query::new("word", &filters, order).unwrap();
        for walk in 0..query.walks() {
            let range = query.range(walk).unwrap();
            let there: BTreeSet<_> = relay.catalogue.map().iter(&range).map(|(_, leaf)| leaf.listed().unwrap().head).collect();
            for release in releases.iter().filter(|it| query.matches(&Tokens::of(it)) && query.admits(it)) {
                prop_assert!(there.contains(&release.id()));
            }
        }
    }
}

fn many(count: u32, change: impl Fn(u32, &mut Release)) -> Relay {
    let one = Publisher::new(1);
    relay((0..count).map(|n| {
        one.release(n, &format!("p{n:04}"), "1.0.0", |release| {
            release.created = u64::from(n);
            change(n, release);
        })
    }))
}

#[test]
fn one_filter_is_counted_exactly_however_many_there_are() {
    let count = u32::try_from(MAX_WALKED).unwrap() + 50;
    let relay = many(count, |_, release| {
        release.categories = vec!["web".into()];
        release.license = Some("MIT".into());
    });
    let publisher = Some(Publisher::new(1).id());
    let category = Some("web".to_owned());
    for filters in [
        Filters { category: category.clone(), ..Filters::default() },
        Filters { license: Some("MIT".into()), ..Filters::default() },
        Filters { publisher, ..Filters::default() },
    ] {
        let page = relay.search(&Search { limit: 10, filters, ..Search::default() });
        assert_eq!((page.total, page.total_is_exact, page.hits.len()), (count.into(), true, 10));
    }
    let both = Filters { category, publisher, ..Filters::default() };
    let page = relay.search(&Search { limit: 10, filters: both, ..Search::default() });
    assert_eq!((page.total, page.total_is_exact, page.hits.len()), (10, false, 10), "at least so many");
}

#[test]
fn without_a_text_each_order_pages_through_all() {
    let count = u32::try_from(MAX_WALKED).unwrap() + 50;
    let relay = many(count, |_, _| {});
    for order in ORDERS {
        let all = pages(&relay, Search { limit: 50, order, ..Search::default() });
        let paged: Vec<_> = all.iter().flat_map(ids).collect();
        assert_eq!((paged.len(), all[0].total, all[0].total_is_exact), (count as usize, count.into(), true));
        assert_eq!(paged, expected(&relay, &Search { order, ..Search::default() }));
    }
}

#[test]
fn few_of_many_are_sorted_exactly() {
    let count = u32::try_from(MAX_WALKED).unwrap() * 2;
    let relay = many(count, |n, release| {
        release.description = "word".into();
        release.categories = vec![if n % 10 == 0 { "rare" } else { "common" }.into()];
    });
    let filters = Filters { category: Some("rare".into()), ..Filters::default() };
    for order in [Order::Newest, Order::Name] {
        let question = Search { text: "word".into(), limit: 20, filters: filters.clone(), order, ..Search::default() };
        let all = pages(&relay, question.clone());
        assert_eq!(all.iter().flat_map(ids).collect::<Vec<_>>(), expected(&relay, &question));
        assert!(all.iter().all(|page| page.total_is_exact && page.total == 52), "{:?}", all[0].total);
    }
    // Of the others there are too many: the newest of all packages are walked, and the answer says so.
    let filters = Filters { category: Some("common".into()), ..filters };
    let page =
        relay.search(&Search { text: "word".into(), limit: 20, filters, order: Order::Newest, ..Search::default() });
    assert_eq!((page.total, page.total_is_exact, page.hits.len()), (20, false, 20));
}

#[test]
fn a_cursor_of_another_query_filter_or_order_is_refused() {
    let relay = many(30, |_, release| {
        release.description = "a common word".into();
        release.categories = vec!["web".into()];
    });
    let first = Search { text: "word".into(), limit: 5, ..Search::default() };
    let cursor = relay.search(&first).cursor;
    let second = Search { cursor, ..first };
    assert_eq!(relay.search(&second).hits.len(), 5);
    let category = Filters { category: Some("web".into()), ..Filters::default() };
    for other in [
        Search { text: "common".into(), ..second.clone() },
        Search { filters: category, ..second.clone() },
        Search { order: Order::Name, ..second.clone() },
    ] {
        assert_eq!(relay.answer(&other).unwrap_err().code, "query/bad-cursor");
        let honest = relay.answer(&second).unwrap();
        assert_eq!(relay.verify(&other, honest).unwrap_err().code(), "query/bad-cursor", "the asker knows, too");
    }
}

#[test]
fn what_was_just_published_is_filtered_too() {
    let mut relay = many(3, |_, release| release.categories = vec!["web".into()]);
    let two = Publisher::new(2);
    relay.insert(two.release(0, "new", "1.0.0", |release| {
        release.categories = vec!["web".into()];
        release.created = 9;
    }));
    relay.insert(two.release(1, "other", "1.0.0", |release| release.created = 10));
    let filters = Filters { category: Some("web".into()), ..Filters::default() };
    for order in ORDERS {
        let page = relay.search(&Search { limit: 10, filters: filters.clone(), order, ..Search::default() });
        assert_eq!(page.hits.len(), 4, "{order:?}");
        assert!(page.hits.iter().all(Result::is_ok));
    }
}

#[test]
fn a_relay_that_puts_a_package_into_a_list_it_does_not_belong_to_is_caught() {
    let web = |n: u32, release: &mut Release| release.categories = vec![if n == 0 { "fonts" } else { "web" }.into()];
    let relay = many(3, web);
    let question = |category: &str| Search {
        limit: 10,
        filters: Filters { category: Some(category.into()), ..Filters::default() },
        ..Search::default()
    };
    let packed = answer::search(&relay.catalogue, &relay.snapshots, &question("web")).unwrap();
    assert!(relay.verify(&question("fonts"), packed.try_into().unwrap()).is_err(), "an answer to another filter");
    let mut relay = many(3, web);
    relay.lie_in(b"c/web\0", |place, _| place.rank = Rank::from_bytes([0; 8]));
    let page = relay.search(&question("web"));
    let codes: Vec<_> =
        page.hits.iter().map(|hit| hit.as_ref().map_err(|refused| refused.error.code()).err()).collect();
    assert_eq!(codes, [Some("relay/wrong-entry"); 2]);
}

#[test]
fn what_depends_on_a_package_stands_in_the_order_asked_for() {
    let [one, two, three] = publishers();
    let base = one.package("base");
    let user = |publisher: &Publisher, index, name: &str, on: &[&crate::id::PackageId]| {
        publisher.release(index, name, "1.0.0", |release| {
            release.description = "a word".into();
            release.dependencies = on.iter().map(|package| depends_on(package)).collect();
        })
    };
    let popular = two.package("a-popular-one");
    let releases = [
        one.release(0, "base", "1.0.0", |_| {}),
        user(&two, 1, "a-popular-one", &[&base]),
        user(&two, 2, "b-newer-one", &[&base]),
        user(&three, 3, "other", &[&popular]),
    ];
    let relay = relay(releases);
    for text in ["", "word"] {
        let names = |order| {
            let filters = Filters { depends_on: Some(base.clone()), ..Filters::default() };
            let question = Search { text: text.into(), limit: 1, filters, order, ..Search::default() };
            let hits = pages(&relay, question).into_iter().flat_map(|page| page.hits);
            hits.map(|hit| hit.unwrap().release.name.to_string()).collect::<Vec<_>>()
        };
        let (popular_first, newer_first) = (["a-popular-one", "b-newer-one"], ["b-newer-one", "a-popular-one"]);
        assert_eq!(names(Order::Dependents), popular_first, "{text}");
        assert_eq!(names(Order::Best), popular_first, "{text}");
        assert_eq!(names(Order::Newest), newer_first, "{text}");
        assert_eq!(names(Order::Name), popular_first, "{text}");
    }
}
