use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::{OTHER_RULES, Publisher, Relay, catalogue, depends_on, record};
use crate::catalogue::{Catalogue, Exclusions, Leaf, answer};
use crate::protocol::query::{Package, RangeOf};
use crate::record::{Inception, Record, Unverified};
use crate::search::analyser::Token;
use crate::search::filter::{FILTER_BYTES, Probe};
use crate::search::query::Order;
use crate::search::rank::Rank;

fn ask(text: &str) -> Search {
    Search { text: text.into(), limit: 10, cursor: None, ..Search::default() }
}

pub(super) fn word(publisher: &Publisher, index: u32, name: &str, version: &str) -> Verified<Release> {
    publisher.release(index, name, version, |release| release.description = "a word".into())
}

/// Two publishers, three packages that match `word`.
pub(super) fn shop() -> (Relay, Publisher, Publisher) {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let releases = [word(&one, 2, "a", "1.0.0"), word(&two, 1, "b", "1.0.0"), word(&one, 0, "c", "1.0.0")];
    (Relay::new(&[&one, &two], releases), one, two)
}

fn honest(text: &str) -> (SearchAnswer, Relay) {
    let (relay, ..) = shop();
    (relay.answer(&ask(text)).unwrap(), relay)
}

/// What came of an answer to `word`: names of packages, then what was refused.
fn rows(relay: &Relay, answer: SearchAnswer) -> Vec<String> {
    let verified = relay.verify(&ask("word"), answer).unwrap();
    verified.hits.into_iter().map(row).collect()
}

fn row(hit: Result<Hit, Refused>) -> String {
    match hit {
        Ok(hit) => hit.release.name.to_string(),
        Err(refused) => format!("{} {}", refused.index, refused.error.code()),
    }
}

pub(super) fn wire(release: &Verified<Release>) -> ByteBuf {
    ByteBuf::from(release.bytes().to_vec())
}

pub(super) fn flip(bytes: &mut ByteBuf, at: usize) {
    bytes[at] ^= 1;
}

fn search_code(relay: &Relay, question: &Search, answer: SearchAnswer) -> Option<&'static str> {
    relay.verify(question, answer).map_err(|error| error.code()).err()
}

pub(super) const BROKEN: Option<&str> = Some("relay/broke-protocol");

#[test]
fn an_honest_answer_is_accepted_whole() {
    let (answer, relay) = honest("word");
    assert_eq!(rows(&relay, answer.clone()), ["a", "b", "c"]);
    let verified = relay.verify(&ask("word"), answer.clone()).unwrap();
    assert_eq!((verified.total, verified.total_is_exact, verified.cursor), (3, true, None));
    let hit = verified.hits[1].as_ref().unwrap();
    assert_eq!(hit.key_log.publisher(), hit.release.publisher);
    assert!(hit.in_checkpoint);
    let proven = verified.proven.unwrap();
    assert_eq!((&proven.checkpoint, proven.total, proven.walked), (&relay.latest().checkpoint, 3, 3));
    assert_eq!((&proven.range[..], proven.bytes), (&b"x/word\0"[..], answer.evidence.unwrap().proof.len()));
    assert_eq!(proven.hash, relay.latest().map.hash(b"x/word\0"));
}

#[test]
fn what_the_records_tell_is_not_written_out() {
    let one = Publisher::new(1);
    let base = word(&one, 0, "base", "1.0.0");
    let users = (2..8).map(|seed| {
        Publisher::new(seed).release(0, &format!("user-{seed}"), "1.0.0", |release| {
            release.description = "a word".into();
            release.dependencies = vec![depends_on(&base.package())];
        })
    });
    let users: Vec<_> = users.collect();
    let publishers: Vec<_> = (1..8).map(Publisher::new).collect();
    let relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), users.into_iter().chain([base]));
    for (text, order) in [
        ("word", Order::Best),
        ("a word", Order::Best),
        ("", Order::Name),
        ("", Order::Newest),
        ("", Order::Dependents),
    ] {
        let question = Search { order, limit: 5, ..ask(text) };
        let [full, short] = [relay.answer(&question), relay.answer_with_names(&question)].map(Result::unwrap);
        let length = |answer: &SearchAnswer| answer.evidence.as_ref().unwrap().proof.len();
        assert!(length(&short) + 5 * (FILTER_BYTES + ShortId::BYTES) <= length(&full), "{order:?}");
        let [mut full, short] = [full, short].map(|answer| relay.verify(&question, answer).unwrap());
        full.proven.as_mut().unwrap().bytes = short.proven.as_ref().unwrap().bytes;
        assert_eq!(short, full, "{order:?}");
        assert_eq!(short.hits.iter().flatten().count(), 5);
    }
}

#[test]
fn a_proof_with_names_that_do_not_follow_from_the_records_is_none() {
    let (_, relay) = honest("word");
    let answer = relay.answer_with_names(&ask("word")).unwrap();
    let proof = answer.evidence.as_ref().unwrap().proof.clone();
    // Operation, number, popularity: three bytes an entry.
    let names: Vec<_> = (0..proof.len()).filter(|at| proof[*at..].starts_with(&[5, 0, 0])).collect();
    let [at] = names[..] else { panic!("{proof:?}") };
    for (place, to) in [(1, 1), (1, 3), (1, 0x7f), (2, 1), (2, 16), (2, 17), (2, 0xff)] {
        let mut changed = answer.clone();
        changed.evidence.as_mut().unwrap().proof[at + place] = to;
        assert_eq!(search_code(&relay, &ask("word"), changed), Some("relay/bad-proof"), "{place} {to}");
    }
    // Nor twice, nor out of order: each is derived once.
    for names in [&[5, 0, 0, 5, 0, 0][..], &[5, 1, 0, 5, 0, 0]] {
        let mut changed = answer.clone();
        changed.evidence.as_mut().unwrap().proof = ByteBuf::from(names);
        assert_eq!(search_code(&relay, &ask("word"), changed), Some("relay/bad-proof"));
    }
    // Where no records come with it, there are no names.
    let question = RangeOf::first(b"x/word\0", 3);
    let verified = verify_range(&question, answer.evidence.as_ref().unwrap(), &relay.asked());
    assert_eq!(verified.map_err(|error| error.code()).err(), Some("relay/bad-proof"));
}

#[test]
fn relays_with_the_same_records_prove_the_same_hash() {
    let (relay, one, two) = shop();
    let other = Relay::of(101, relay.catalogue.clone());
    let more = Relay::of(102, catalogue(&[&one, &two], [word(&one, 9, "d", "1.0.0")]));
    let hash = |relay: &Relay, text: &str| relay.search(&ask(text)).proven.unwrap().hash;
    assert_eq!(hash(&relay, "word"), hash(&other, "word"));
    assert_ne!(hash(&relay, "word"), hash(&more, "word"));
    assert_eq!((hash(&relay, "absent"), hash(&more, "absent")), (None, None));
}

#[test]
fn rejects_a_release_with_any_byte_changed() {
    let (answer, relay) = honest("word");
    for at in 0..answer.releases[0].len() {
        let mut changed = answer.clone();
        flip(&mut changed.releases[0], at);
        let rows = rows(&relay, changed);
        assert_eq!(rows[..2], ["b", "c"], "byte {at}");
        assert!(rows.len() == 3 && rows[2].starts_with("0 record/"), "byte {at}: {rows:?}");
    }
}

#[test]
fn rejects_a_valid_release_in_place_of_the_one_that_the_proof_names() {
    let (answer, relay) = honest("word");
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let others = [
        two.release(5, "other", "1.0.0", |_| {}),
        word(&two, 6, "better", "1.0.0"),
        word(&two, 7, "b", "2.0.0"),
        word(&one, 8, "b", "1.0.0"),
    ];
    for other in others {
        let mut swapped = answer.clone();
        swapped.releases[1] = wire(&other);
        assert_eq!(rows(&relay, swapped), ["a", "c", "1 record/not-proven"]);
    }
    let mut swapped = answer;
    swapped.releases.swap(0, 2);
    assert_eq!(rows(&relay, swapped), ["b", "0 record/not-proven", "2 record/not-proven"]);
}

#[test]
fn a_release_that_is_left_out_is_missed() {
    let (answer, relay) = honest("word");
    let mut last = answer.clone();
    last.releases.pop();
    assert_eq!(rows(&relay, last.clone()), ["a", "b", "2 relay/withheld"]);
    let verified = relay.verify(&ask("word"), last).unwrap();
    let error = verified.hits[2].as_ref().unwrap_err().error.to_string();
    assert!(error.contains(
        &data_encoding::HEXLOWER.encode(ShortId::of(&word(&Publisher::new(1), 0, "c", "1.0.0").id()).as_bytes())
    ));

    let mut first = answer.clone();
    first.releases.remove(0);
    let rows_of_first = rows(&relay, first);
    assert!(
        rows_of_first.contains(&"2 relay/withheld".into()) && !rows_of_first.contains(&"a".into()),
        "{rows_of_first:?}"
    );

    let mut all = answer;
    all.releases.clear();
    all.key_logs.clear();
    assert_eq!(rows(&relay, all), ["0 relay/withheld"; 3]);
}

#[test]
fn a_recent_release_that_does_not_match_is_refused() {
    let (answer, relay) = honest("word");
    let mut more = answer;
    more.recent = vec![
        wire(&Publisher::new(2).release(5, "other", "1.0.0", |_| {})),
        wire(&word(&Publisher::new(2), 6, "d", "1.0.0")),
    ];
    assert_eq!(rows(&relay, more), ["d", "a", "b", "c", "3 record/does-not-match"]);
}

#[test]
fn what_is_suggested_is_bounded_and_what_is_no_query_is_left_out() {
    let (answer, relay) = honest("wrod");
    let with = |suggestions: &[&str]| SearchAnswer {
        suggestions: suggestions.iter().map(|text| (*text).into()).collect(),
        ..answer.clone()
    };
    let longest = "a".repeat(MAX_QUERY_BYTES);
    let words = |count| vec!["a"; count].join(" ");
    for suggestions in [&["word", "sword", "a b"][..], &[&longest], &[&words(MAX_QUERY_TOKENS)], &[]] {
        let verified = relay.verify(&ask("wrod"), with(suggestions)).unwrap();
        assert_eq!((verified.suggestions, verified.hits.len()), (with(suggestions).suggestions, 0));
    }
    let too_long = "a".repeat(MAX_QUERY_BYTES + 1);
    for one in ["", " ", "?!", "a\u{202e}b", "a\nb", &too_long, &words(MAX_QUERY_TOKENS + 1)] {
        let verified = relay.verify(&ask("wrod"), with(&["word", one])).unwrap();
        assert_eq!(verified.suggestions, ["word"], "{one:?}");
    }
    assert_eq!(search_code(&relay, &ask("wrod"), with(&["word"; MAX_SUGGESTIONS + 1])), BROKEN);
    let nothing = SearchAnswer { evidence: None, ..with(&["word"]) };
    assert_eq!(search_code(&relay, &ask("?"), nothing), BROKEN, "nothing is like punctuation");
}

#[test]
fn any_recent_release_is_an_answer_to_no_words_and_none_is_to_punctuation() {
    let (answer, relay) = honest("");
    let recent = || vec![wire(&Publisher::new(2).release(5, "other", "1.0.0", |_| {}))];
    let more = SearchAnswer { recent: recent(), ..answer };
    assert!(relay.verify(&ask(""), more.clone()).unwrap().hits.iter().all(Result::is_ok));
    assert_eq!(search_code(&relay, &ask("?"), more.clone()), BROKEN);
    let nothing = SearchAnswer {
        walk: 0,
        releases: vec![],
        recent: vec![],
        statuses: vec![],
        key_logs: vec![],
        evidence: None,
        suggestions: vec![],
    };
    assert_eq!(search_code(&relay, &ask("?"), nothing.clone()), None);
    let more = SearchAnswer { recent: recent(), ..nothing.clone() };
    assert_eq!(search_code(&relay, &ask("?"), more), BROKEN);
    assert_eq!(search_code(&relay, &ask("word"), nothing.clone()), BROKEN, "that nothing has a word is to be proven");
    assert_eq!(search_code(&relay, &ask(""), nothing), BROKEN);
}

#[test]
fn rejects_a_package_that_is_there_twice() {
    let (answer, mut relay) = honest("word");
    let (a, newer) = (answer.releases[0].clone(), wire(&word(&Publisher::new(1), 9, "a", "2.0.0")));
    let mut again = answer;
    again.recent = vec![newer.clone(), newer];
    assert_eq!(rows(&relay, again.clone()), ["a", "b", "c", "4 record/twice"]);
    again.recent[1] = a;
    assert_eq!(rows(&relay, again), ["a", "b", "c", "4 record/twice"]);

    // Two heads of one package, both as the rules would list them.
    let former = word(&Publisher::new(1), 8, "a", "0.9.0");
    let with_former = Relay::new(&[&Publisher::new(1)], [former.clone()]);
    relay.insert(former);
    relay.lie(|map| {
        for (key, leaf) in with_former.latest().map.iter(b"x/word\0") {
            map.insert(&key, leaf.clone()).unwrap();
        }
    });
    let rows = rows(&relay, relay.answer(&ask("word")).unwrap());
    assert!(rows.len() == 4 && rows[3].ends_with("record/twice"), "{rows:?}");
}

#[test]
fn a_recent_release_does_not_take_a_package_back() {
    let one = Publisher::new(1);
    let versions = |relay: &Relay, answer| {
        let hits = relay.verify(&ask("word"), answer).unwrap().hits;
        hits.iter().map(|hit| hit.as_ref().unwrap().release.version.to_string()).collect::<Vec<_>>()
    };
    for (known, recent, shown) in [
        ("2.0.0", "1.0.0", "2.0.0"),
        ("2.0.0", "2.1.0-rc.1", "2.0.0"),
        ("1.0.0", "2.0.0", "2.0.0"),
        ("2.0.0-rc.1", "1.0.0", "1.0.0"),
        ("2.0.0-rc.2", "2.0.0-rc.1", "2.0.0-rc.2"),
        ("2.0.0", "2.0.0", "2.0.0"),
    ] {
        let relay = Relay::new(&[&one], [word(&one, 0, "a", known)]);
        let mut answer = relay.answer(&ask("word")).unwrap();
        answer.recent = vec![wire(&word(&one, 1, "a", recent))];
        assert_eq!(versions(&relay, answer.clone()), [shown], "{known}, then {recent}");
        // Of the same version, that it came since is what is to be seen of it.
        let hits = relay.verify(&ask("word"), answer).unwrap().hits;
        assert_eq!(hits[0].as_ref().unwrap().in_checkpoint, shown != recent);
    }
}

#[test]
fn a_bad_key_log_refuses_the_releases_of_its_publisher_and_no_others() {
    let (answer, relay) = honest("word");
    let mut changed = answer.clone();
    flip(&mut changed.key_logs[0][0], 0);
    assert_eq!(rows(&relay, changed), ["b", "0 record/no-key-log", "2 record/no-key-log"]);
    let mut changed = answer;
    changed.key_logs.remove(0);
    assert_eq!(rows(&relay, changed), ["b", "0 record/no-key-log", "2 record/no-key-log"]);
}

#[test]
fn releases_show_by_themselves_what_an_inception_says_and_it_is_verified_for_others() {
    let (answer, relay) = honest("word");
    let network = relay.asked().network;
    let mut changed = answer.clone();
    let last = changed.key_logs[0][0].len() - 1;
    flip(&mut changed.key_logs[0][0], last);
    assert_eq!(rows(&relay, changed.clone()), ["a", "b", "c"]);
    let verified = |answer: SearchAnswer| {
        let hits = relay.verify(&ask("word"), answer).unwrap().hits;
        hits.into_iter().map(|hit| hit.unwrap().key_log.verified(network)).collect::<Vec<_>>()
    };
    let [bad, good] = [Err(record::Error::BadSignature), Ok(Publisher::new(2).key_log())];
    assert_eq!(verified(changed), [bad.clone(), good.clone(), bad]);
    let own = Ok(Publisher::new(1).key_log());
    assert_eq!(verified(answer), [own.clone(), good, own]);
}

#[test]
fn an_inception_that_a_rotation_follows_is_verified() {
    let publisher = Publisher::new(1);
    let kept = word(&publisher, 0, "a", "1.0.0");
    let relay = Relay::new(&[&publisher], [kept.clone()]);
    let mut answer = relay.answer(&ask("word")).unwrap();
    let rotated = publisher.rotate(&[kept.id()]);
    answer.key_logs[0].extend([ByteBuf::from(rotated.rotation.bytes().to_vec())]);
    answer.key_logs[0].extend(rotated.pages.iter().map(|page| ByteBuf::from(page.bytes().to_vec())));
    assert_eq!(rows(&relay, answer.clone()), ["a"]);
    let last = answer.key_logs[0][0].len() - 1;
    flip(&mut answer.key_logs[0][0], last);
    assert_eq!(rows(&relay, answer), ["0 record/bad-signature"]);
}

#[test]
fn rejects_the_key_log_and_the_releases_of_another_network() {
    let (answer, relay) = honest("word");
    let there = Publisher::of_network(1, "publisher-1", Network::named("other").unwrap());
    assert_eq!(there.id(), Publisher::new(1).id());
    let mut log = answer.clone();
    log.key_logs[0] = there.key_log().events().map(|event| ByteBuf::from(event.to_vec())).collect();
    assert_eq!(rows(&relay, log.clone()), ["a", "b", "c"], "their releases are of this network");
    let hit = relay.verify(&ask("word"), log).unwrap().hits.remove(0).unwrap();
    assert_eq!(hit.key_log.verified(relay.asked().network), Err(record::Error::BadSignature));
    let mut release = answer;
    release.releases[0] = wire(&word(&there, 2, "a", "1.0.0"));
    assert_eq!(rows(&relay, release), ["b", "c", "0 record/bad-signature"]);
}

#[test]
fn an_entry_is_where_the_popularity_that_a_proof_says_puts_it() {
    let (publisher, other) = (Publisher::new(1), Publisher::new(2).release(0, "other", "1.0.0", |_| {}));
    // A name of seven letters: behind it, an entry of the list by name is as long as a place.
    let release = publisher.release(0, "towered", "1.0.0", |release| {
        release.tags = vec!["tower".into()];
        release.categories = vec!["Buildings".into()];
        release.license = Some("MIT".into());
        release.description = "It stands".into();
        release.dependencies = vec![depends_on(&other.package())];
    });
    let tokens = Rules::FIRST.tokens(&release);
    let mut by_popularity = 0;
    for plain in keys::listing(&release.id(), &release, &tokens, Popularity::default()) {
        let (range, _) = plain.split_at(if plain.starts_with(b"a/") { 2 } else { plain.len() - Place::BYTES });
        let candidate = Candidate::read(release.bytes(), &Known::default()).unwrap();
        let derived = Derived::of(candidate, Rules::FIRST, range);
        for popularity in [0, 1, 3, usize::MAX].map(Popularity::of) {
            let expected = keys::listing_in(range, &release.id(), &release, &tokens, popularity);
            assert!(expected.is_some());
            assert_eq!(derived.place(range, popularity), expected, "{range:?} {popularity:?}");
            by_popularity += u32::from(expected.as_deref() != plain.strip_prefix(range));
        }
        assert_eq!(Derived { plain: None, ..derived }.place(range, Popularity::default()), None);
    }
    assert!(by_popularity > 60, "{by_popularity}");
}

/// What came of an answer to `word` for somebody who knows some records already.
fn rows_knowing(relay: &Relay, answer: &SearchAnswer, known: &mut Known) -> Vec<String> {
    let verified = verify_search_knowing(&ask("word"), answer.clone(), &relay.asked(), known).unwrap();
    verified.hits.into_iter().map(row).collect()
}

#[test]
fn what_is_known_is_taken_as_if_it_were_verified_again() {
    let (answer, relay) = honest("word");
    let known = &mut Known::default();
    let first = verify_search_knowing(&ask("word"), answer.clone(), &relay.asked(), known).unwrap();
    let again = verify_search_knowing(&ask("word"), answer.clone(), &relay.asked(), known).unwrap();
    assert_eq!((&again, &first), (&first, &relay.verify(&ask("word"), answer.clone()).unwrap()));
    // Nothing else is: neither a byte otherwise, nor under another key log, nor without one.
    let mut changed = answer.clone();
    let last = changed.releases[0].len() - 1;
    flip(&mut changed.releases[0], last);
    assert_eq!(rows_knowing(&relay, &changed, known), rows(&relay, changed));
    let mut changed = answer.clone();
    let last = changed.key_logs[0][0].len() - 1;
    flip(&mut changed.key_logs[0][0], last);
    let again = verify_search_knowing(&ask("word"), changed.clone(), &relay.asked(), known).unwrap();
    assert_eq!(again, relay.verify(&ask("word"), changed).unwrap());
    assert_ne!(again, first);
    let mut changed = answer;
    changed.key_logs.remove(0);
    assert_eq!(rows_knowing(&relay, &changed, known), ["b", "0 record/no-key-log", "2 record/no-key-log"]);
}

#[test]
fn a_checkpoint_that_is_known_stands_for_no_other() {
    let (answer, relay) = honest("word");
    let known = &mut Known::default();
    assert_eq!(rows_knowing(&relay, &answer, known), ["a", "b", "c"]);
    let mut changed = answer.clone();
    let checkpoint = &mut changed.evidence.as_mut().unwrap().checkpoint;
    let last = checkpoint.len() - 1;
    flip(checkpoint, last);
    let code = |answer: &SearchAnswer, asked: &Asked<'_>, known: &mut Known| {
        let error = verify_search_knowing(&ask("word"), answer.clone(), asked, known).unwrap_err();
        assert_eq!(Some(error.code()), verify_search(&ask("word"), answer.clone(), asked).err().map(|it| it.code()));
        error.code()
    };
    assert_eq!(code(&changed, &relay.asked(), known), "checkpoint/bad-signature");
    // What was refused is not known, and what is known is still looked at: whose it is, and of which network and epoch.
    assert_eq!(code(&changed, &relay.asked(), known), "checkpoint/bad-signature");
    let elsewhere = Network::main();
    assert_eq!(code(&answer, &Asked { network: &elsewhere, ..relay.asked() }, known), "checkpoint/wrong-network");
    assert_eq!(rows_knowing(&relay, &answer, known), ["a", "b", "c"]);
    let other = PublicKey::from_bytes([9; 32]);
    assert_eq!(code(&answer, &Asked { relay: &other, ..relay.asked() }, known), "checkpoint/wrong-relay");
    let epoch = relay.asked().epoch + 100;
    assert_eq!(code(&answer, &Asked { epoch, ..relay.asked() }, known), "checkpoint/not-fresh");
    assert_eq!(code(&answer, &Asked { rules: OTHER_RULES, ..relay.asked() }, known), "checkpoint/other-rules");
}

#[test]
fn a_checkpoint_is_known_in_its_network_only() {
    let (answer, relay) = honest("word");
    let mut known = Known::default();
    let bytes = &answer.evidence.as_ref().unwrap().checkpoint;
    let network = relay.asked().network;
    let first = known.checkpoint(bytes, network).unwrap();
    assert_eq!(known.checkpoint(bytes, network).unwrap(), first);
    assert_eq!(
        known.checkpoint(bytes, &Network::main()).map_err(|error| error.code()),
        Err("checkpoint/wrong-network")
    );
}

#[test]
fn what_is_known_of_one_network_is_nothing_in_another() {
    let (answer, relay) = honest("word");
    let known = &mut Known::default();
    assert_eq!(rows_knowing(&relay, &answer, known), ["a", "b", "c"]);
    known.enter(relay.asked().network);
    assert!(known.release(&answer.releases[0]).is_some() && known.key_log(&answer.key_logs[0]).is_some());
    known.enter(&Network::main());
    assert!(known.release(&answer.releases[0]).is_none() && known.key_log(&answer.key_logs[0]).is_none());
}

#[test]
fn a_release_that_is_known_does_not_hold_under_a_key_log_that_makes_it_void() {
    let publisher = Publisher::new(1);
    let (kept, void) = (word(&publisher, 1, "a", "1.0.0"), word(&publisher, 0, "b", "1.0.0"));
    let relay = Relay::new(&[&publisher], [kept.clone(), void]);
    let answer = relay.answer(&ask("word")).unwrap();
    let known = &mut Known::default();
    assert_eq!(rows_knowing(&relay, &answer, known), ["a", "b"]);
    let rotated = publisher.rotate(&[kept.id()]);
    let mut changed = answer.clone();
    changed.key_logs[0].extend([ByteBuf::from(rotated.rotation.bytes().to_vec())]);
    changed.key_logs[0].extend(rotated.pages.iter().map(|page| ByteBuf::from(page.bytes().to_vec())));
    let expected = rows(&relay, changed.clone());
    assert!(expected[0] == "a" && expected.len() == 2 && expected[1].starts_with("1 record/"), "{expected:?}");
    assert_eq!(rows_knowing(&relay, &changed, known), expected);
    // Of two key logs of one publisher the first counts, and the second is not known by it.
    let mut both = answer;
    both.key_logs.push(changed.key_logs[0].clone());
    let known = &mut Known::default();
    assert_eq!(rows_knowing(&relay, &both, known), ["a", "b"]);
    assert_eq!(rows_knowing(&relay, &changed, known), expected);
}

#[test]
fn rejects_an_answer_that_breaks_its_bounds() {
    let (answer, relay) = honest("word");
    let code = |question: &Search, change: &dyn Fn(&mut SearchAnswer)| {
        let mut changed = answer.clone();
        change(&mut changed);
        search_code(&relay, question, changed)
    };
    let copies = |answer: &SearchAnswer, count| vec![answer.releases[0].clone(); count];
    assert_eq!(code(&ask("word"), &|_| ()), None);
    assert_eq!(
        code(&ask("word"), &|answer| answer.releases.push(answer.releases[0].clone())),
        BROKEN,
        "more than the proof names"
    );
    assert_eq!(code(&ask("word"), &|answer| answer.releases = copies(answer, MAX_WALKED + 1)), BROKEN);
    assert_eq!(code(&ask("word"), &|answer| answer.recent = copies(answer, MAX_RESULTS)), None);
    assert_eq!(code(&ask("word"), &|answer| answer.recent = copies(answer, MAX_RESULTS + 1)), BROKEN);
    assert_eq!(code(&ask("word"), &|answer| answer.key_logs = vec![answer.key_logs[0].clone(); 4]), BROKEN);
    assert_eq!(code(&ask("word"), &|answer| answer.key_logs = vec![answer.key_logs[0].clone(); 3]), None);
    assert_eq!(code(&ask("word"), &|answer| answer.evidence = None), BROKEN);
    assert_eq!(code(&ask("word"), &|answer| answer.walk = 1), BROKEN);
    assert_eq!(code(&ask(&"x".repeat(1000)), &|_| ()), Some("query/too-long"));
    let proof_of = |entries: usize| {
        let proof = relay.latest().map.prove(&Range::of(b"x/word\0"), entries);
        move |answer: &mut SearchAnswer| {
            answer.releases.truncate(entries);
            answer.key_logs.truncate(entries);
            answer.evidence.as_mut().unwrap().proof = ByteBuf::from(proof.clone());
        }
    };
    assert_eq!(code(&ask("word"), &proof_of(1)), None);
    assert_eq!(code(&ask("word"), &proof_of(0)), BROKEN, "an empty page with more behind it would never end");
}

#[test]
fn rejects_a_run_of_more_entries_than_are_walked() {
    let one = Publisher::new(1);
    let count = u32::try_from(MAX_WALKED).unwrap() + 1;
    let tagged =
        |n: u32, tag: &str| one.release(n, &format!("p{n}"), "1.0.0", |release| release.tags = vec![tag.into()]);
    let relay = Relay::new(&[&one], (0..count).map(|n| tagged(n, "first")));
    let proof_of = |limit| {
        let proof = ByteBuf::from(relay.latest().map.prove(&Range::of(b"t/first\0"), limit));
        let evidence = Some(Evidence { checkpoint: relay.latest().checkpoint.bytes().clone(), proof });
        SearchAnswer {
            walk: 0,
            releases: vec![],
            recent: vec![],
            statuses: vec![],
            key_logs: vec![],
            evidence,
            suggestions: vec![],
        }
    };
    assert_eq!(search_code(&relay, &ask("first absent"), proof_of(MAX_WALKED)), None);
    assert_eq!(search_code(&relay, &ask("first absent"), proof_of(MAX_WALKED + 1)), BROKEN);
}

/// A question that walks the range of a word, and sorts what is in it by itself.
fn by_name(limit: u16) -> (Search, u8) {
    let question = Search { limit, order: Order::Name, ..ask("word") };
    let query = Query::new("word", &question.filters, Order::Name).unwrap();
    let walk = (0..query.walks()).find(|walk| query.range(*walk).is_some_and(|range| range.starts_with(b"x/")));
    assert!(!query.is_ordered(walk.unwrap()));
    (question, walk.unwrap())
}

#[test]
fn a_range_in_another_order_is_shown_whole_or_not_at_all() {
    let (answer, relay) = honest("word");
    let (question, walk) = by_name(10);
    assert_eq!(search_code(&relay, &question, SearchAnswer { walk, ..answer.clone() }), None);
    let proof = ByteBuf::from(relay.latest().map.prove(&Range::of(b"x/word\0"), 1));
    let evidence = Some(Evidence { proof, ..answer.evidence.unwrap() });
    let key_logs = vec![answer.key_logs[0].clone()];
    let part = SearchAnswer { walk, releases: vec![answer.releases[0].clone()], key_logs, evidence, ..answer };
    assert_eq!(search_code(&relay, &question, part), BROKEN);
}

#[test]
fn pages_of_what_the_client_sorts_end_with_the_last_match() {
    let (answer, relay) = honest("word");
    let page = |limit, cursor| {
        let (question, walk) = by_name(limit);
        let verified = relay.verify(&Search { cursor, ..question }, SearchAnswer { walk, ..answer.clone() }).unwrap();
        let names: Vec<_> = verified.hits.iter().map(|hit| hit.as_ref().unwrap().release.name.to_string()).collect();
        (names, verified.cursor)
    };
    assert_eq!(page(3, None), (vec!["a".into(), "b".into(), "c".into()], None));
    let (names, cursor) = page(2, None);
    assert_eq!(names, ["a", "b"]);
    assert_eq!(page(2, Some(cursor.unwrap())), (vec!["c".into()], None));
}

#[test]
fn rejects_a_proof_of_another_root_or_range() {
    let (answer, mut relay) = honest("word");
    let changed = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = answer.clone();
        change(changed.evidence.as_mut().unwrap());
        changed
    };
    let proof = |range: &[u8]| ByteBuf::from(relay.latest().map.prove(&Range::of(range), 10));
    for range in [&b"t/word\0"[..], b"x/wor\0", b"n/", b""] {
        let other = changed(&|evidence| evidence.proof = proof(range));
        let code = search_code(&relay, &ask("word"), other);
        // A proof that hides all of the range holds, and is no answer.
        assert!(code == Some("relay/bad-proof") || code == BROKEN, "{}: {code:?}", range.escape_ascii());
    }
    for at in 0..answer.evidence.as_ref().unwrap().proof.len() {
        let flipped = changed(&|evidence| flip(&mut evidence.proof, at));
        assert_eq!(search_code(&relay, &ask("word"), flipped), Some("relay/bad-proof"), "byte {at}");
    }
    for at in 0..answer.evidence.as_ref().unwrap().checkpoint.len() {
        let flipped = changed(&|evidence| flip(&mut evidence.checkpoint, at));
        assert!(search_code(&relay, &ask("word"), flipped).unwrap().starts_with("checkpoint/"), "byte {at}");
    }
    relay.insert(word(&Publisher::new(1), 9, "d", "1.0.0"));
    relay.commit();
    let later = changed(&|evidence| evidence.checkpoint = relay.latest().checkpoint.bytes().clone());
    assert_eq!(search_code(&relay, &ask("word"), later), Some("relay/bad-proof"));
}

#[test]
fn rejects_the_checkpoint_of_another_relay_network_or_time() {
    let (answer, relay) = honest("word");
    let other = Relay::of(101, relay.catalogue.clone());
    assert_eq!(search_code(&other, &ask("word"), answer.clone()), Some("checkpoint/wrong-relay"));
    let code =
        |asked: &Asked<'_>| verify_search(&ask("word"), answer.clone(), asked).map_err(|error| error.code()).err();
    assert_eq!(code(&Asked { network: &Network::main(), ..relay.asked() }), Some("checkpoint/wrong-network"));
    for (apart, expected) in
        [(-3, Some("checkpoint/not-fresh")), (-2, None), (2, None), (3, Some("checkpoint/not-fresh"))]
    {
        let epoch = relay.epoch.checked_add_signed(apart).unwrap();
        assert_eq!(code(&Asked { epoch, ..relay.asked() }), expected, "{apart}");
    }
}

#[test]
fn an_answer_is_verified_by_the_rules_that_it_was_asked_by() {
    let publisher = Publisher::new(1);
    let release = publisher.release(0, "a", "1.0.0", |release| release.authors = vec!["Ada".into()]);
    let first = Relay::new(&[&publisher], [release]);
    let other = Relay::of(100, first.catalogue.derived_by(OTHER_RULES));
    assert_eq!((first.find("ada").hits.len(), other.find("ada").hits.len()), (0, 1));
    assert!(other.find("a").hits[0].is_ok(), "also its filter is one of other rules");
    for (relay, rules) in [(&first, OTHER_RULES), (&other, Rules::FIRST)] {
        let asked = Asked { rules, ..relay.asked() };
        let searched = verify_search(&ask("a"), relay.answer(&ask("a")).unwrap(), &asked);
        assert_eq!(searched.unwrap_err().code(), "checkpoint/other-rules");
        let question = RangeOf::first(&keys::newest(), 1);
        let pieces = answer::range(&relay.snapshots, &question).unwrap();
        assert_eq!(verify_pieces(&question, &pieces, &asked).unwrap_err().code(), "checkpoint/other-rules");
    }
    // What came since the checkpoint is looked at by them, too.
    let mut recent = Relay::of(100, Catalogue::by(OTHER_RULES));
    recent.catalogue.insert(publisher.inception()).unwrap();
    recent.insert(publisher.release(0, "a", "1.0.0", |release| release.authors = vec!["Ada".into()]));
    let found = recent.find("ada");
    assert!(found.hits.len() == 1 && !found.hits[0].as_ref().unwrap().in_checkpoint);
}

#[test]
fn a_next_page_stands_on_the_checkpoint_of_the_first_and_no_other() {
    let (_, mut relay) = honest("word");
    let first = Search { limit: 1, ..ask("word") };
    let page = relay.search(&first);
    let second = Search { cursor: page.cursor, ..first };
    relay.commit();
    let mut answer = relay.answer(&second).unwrap();
    assert_eq!(relay.verify(&second, answer.clone()).unwrap().proven.unwrap().checkpoint.epoch, relay.epoch - 1);
    // However long somebody reads the first page.
    let later = Asked { epoch: relay.epoch + 1000, ..relay.asked() };
    assert!(verify_search(&second, answer.clone(), &later).is_ok());
    let newest = relay.latest().checkpoint.bytes().clone();
    answer.evidence.as_mut().unwrap().checkpoint = newest;
    assert_eq!(
        search_code(&relay, &second, answer.clone()),
        BROKEN,
        "the root is the same, and the page is of another checkpoint"
    );
    (0..3).for_each(|_| relay.commit());
    answer.evidence.as_mut().unwrap().checkpoint = relay.latest().checkpoint.bytes().clone();
    assert_eq!(search_code(&relay, &second, answer), Some("checkpoint/not-fresh"));
}

#[test]
fn rejects_a_page_of_another_place_or_range_than_the_cursor_says() {
    let (_, relay) = honest("word");
    let first = Search { limit: 1, ..ask("word") };
    let cursor = relay.search(&first).cursor;
    let second = Search { cursor: cursor.clone(), ..first.clone() };
    let (one, two) = (relay.answer(&first).unwrap(), relay.answer(&second).unwrap());
    assert!(relay.verify(&second, two).is_ok());
    // The first page again in place of the second shows nothing of what the second is of.
    assert_eq!(search_code(&relay, &second, one), BROKEN);
    let none = Search { cursor: Some(ByteBuf::from(vec![0; 3])), ..first.clone() };
    assert_eq!(search_code(&relay, &none, relay.answer(&first).unwrap()), Some("query/bad-cursor"));
    let mut walk = cursor.unwrap();
    walk[8] = 1;
    let walk = Search { cursor: Some(walk), ..first };
    assert_eq!(search_code(&relay, &walk, relay.answer(&ask("word")).unwrap()), Some("query/bad-cursor"));
}

#[test]
fn a_relay_that_lists_a_package_by_a_false_filter_is_caught() {
    let (_, mut relay) = honest("word");
    relay.lie_in(b"x/word\0", |_, listed| listed.filter = Filter::from_bytes([0xff; FILTER_BYTES]));
    assert_eq!(
        rows(&relay, relay.answer(&ask("word")).unwrap()),
        ["0 relay/wrong-entry", "1 relay/wrong-entry", "2 relay/wrong-entry"]
    );
    // A filter that rules out its own package is seen as soon as somebody asks for the one word.
    let (_, mut relay) = honest("word");
    relay.lie_in(b"x/word\0", |_, listed| listed.filter = Filter::from_bytes([0; FILTER_BYTES]));
    assert_eq!(
        rows(&relay, relay.answer(&ask("word")).unwrap()),
        ["0 relay/wrong-entry", "1 relay/wrong-entry", "2 relay/wrong-entry"]
    );
}

#[test]
fn a_relay_that_lists_a_package_in_a_false_place_is_caught() {
    let best = |place: &mut Place, change: &dyn Fn(&mut [u8; 8])| {
        let mut rank = *place.rank.as_bytes();
        change(&mut rank);
        place.rank = Rank::from_bytes(rank);
    };
    let c = ShortId::of(&word(&Publisher::new(1), 0, "c", "1.0.0").id());
    type Lie<'a> = (&'a str, &'a dyn Fn(&mut [u8; 8]));
    let lies: [Lie<'_>; 5] = [
        ("better", &|rank| rank[1] -= 1),
        ("the best", &|rank| rank[0] = 0),
        ("worse", &|rank| rank[1] += 4),
        ("newer", &|rank| rank[7] -= 1),
        ("much newer", &|rank| rank[2] -= 1),
    ];
    for (lie, change) in lies {
        let (_, mut relay) = honest("word");
        relay.lie_in(b"x/word\0", |place, _| {
            if place.head == c {
                best(place, change)
            }
        });
        let rows = rows(&relay, relay.answer(&ask("word")).unwrap());
        assert!(
            rows.len() == 3 && rows[..2] == ["a", "b"] && rows[2].ends_with("relay/wrong-entry"),
            "{lie}: {rows:?}"
        );
    }
    // In the range of all packages nothing but age counts, and what would be the points of one that many depend on is a date too.
    for change in [&|rank: &mut [u8; 8]| rank[1] -= 4, &|rank: &mut [u8; 8]| rank[7] -= 1] as [&dyn Fn(&mut [u8; 8]); 2]
    {
        let (_, mut relay) = honest("");
        relay.lie_in(b"n/", |place, _| {
            if place.head == c {
                best(place, change)
            }
        });
        let hits = relay.search(&ask("")).hits;
        assert_eq!(
            hits.iter().filter(|hit| hit.as_ref().is_err_and(|it| it.error == RefusedError::WrongEntry)).count(),
            1
        );
    }
}

#[test]
fn how_many_depend_on_a_package_is_part_of_its_place() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let user = two.release(5, "user", "1.0.0", |release| release.dependencies = vec![depends_on(&one.package("c"))]);
    let releases = [word(&one, 2, "a", "1.0.0"), word(&one, 0, "c", "1.0.0"), user];
    let relay = Relay::new(&[&one, &two], releases);
    assert_eq!(rows(&relay, relay.answer(&ask("word")).unwrap()), ["c", "a"]);
}

#[test]
fn a_package_that_is_listed_by_a_release_without_the_word_is_refused() {
    let one = Publisher::new(1);
    let other = one.release(4, "other", "1.0.0", |_| {});
    let mut relay = Relay::new(&[&one], [word(&one, 0, "a", "1.0.0"), other.clone()]);
    let leaf = relay
        .latest()
        .map
        .iter(b"n/")
        .map(|(_, leaf)| leaf.clone())
        .find(|leaf| leaf.listed().unwrap().head == other.id());
    let key = [b"x/word\0", &[0; 8][..], ShortId::of(&other.id()).as_bytes()].concat();
    relay.lie(|map| map.insert(&key, leaf.clone().unwrap()).unwrap());
    assert_eq!(rows(&relay, relay.answer(&ask("word")).unwrap()), ["a", "0 relay/wrong-entry"]);
}

#[test]
fn what_does_not_match_is_shown_to_nobody_whoever_signed_it() {
    let one = Publisher::new(1);
    let named = word(&one, 0, "a", "1.0.0");
    let filter = Filter::of(&named, &Tokens::of(&named));
    let lets_through = |text: &String| filter.may_have(&Probe::whole(&Token::joined(text).unwrap()));
    let other = (0..).map(|n| format!("{n}other")).find(lets_through).expect("a filter lets one in thirty through");
    let others = ["b", "c"].into_iter().zip(1..);
    let others = others.map(|(name, index)| one.release(index, name, "1.0.0", |it| it.description = other.clone()));
    let relay = Relay::new(&[&one], others.chain([named.clone()]));
    let question = ask(&format!("{other} word"));
    let answer = relay.answer(&question).unwrap();
    assert_eq!(answer.releases, [wire(&named)], "the filter lets it through");
    let rows = |answer: &SearchAnswer| {
        let verified = relay.verify(&question, answer.clone()).unwrap();
        verified.hits.into_iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(&answer), [""; 0]);
    let mut unsigned = answer.clone();
    let signature = unsigned.releases[0].len() - 1;
    flip(&mut unsigned.releases[0], signature);
    assert_eq!(rows(&unsigned), [""; 0], "it is what the entry names, and does not match");
    let mut without_key_log = answer.clone();
    without_key_log.key_logs.clear();
    assert_eq!(rows(&without_key_log), [""; 0]);
    let mut another = answer;
    another.releases[0] = wire(&word(&one, 0, "d", "1.0.0"));
    assert_eq!(rows(&another), ["0 record/not-proven"], "that another one does not match says nothing of this one");
}

#[test]
fn entries_that_are_none_of_packages_are_no_answer() {
    for (rest, leaf) in [(&b"short"[..], true), (&[0xff; 28], false), (&[0xff; 29], true)] {
        let (answer, mut relay) = honest("word");
        let value =
            relay.latest().map.iter(b"n/").next().map(|(_, leaf)| leaf.clone()).filter(|_| leaf).unwrap_or(Leaf::NONE);
        relay.lie(|map| map.insert(&[b"x/word\0", rest].concat(), value.clone()).unwrap());
        let proof = ByteBuf::from(relay.latest().map.prove(&Range::of(b"x/word\0"), 10));
        let evidence = Some(Evidence { checkpoint: relay.latest().checkpoint.bytes().clone(), proof });
        assert_eq!(search_code(&relay, &ask("word"), SearchAnswer { evidence, ..answer }), BROKEN);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a relay does to an honest answer: what is shown is what is there, and what is missing is missed.
    #[test]
    fn no_change_of_an_answer_shows_anything_else(
        has_names: bool,
        remove in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        swap in any::<(prop::sample::Index, prop::sample::Index)>(),
        other in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (answer, relay) = honest("word");
        let answer = if has_names { relay.answer_with_names(&ask("word")).unwrap() } else { answer };
        let mut changed = answer.clone();
        changed.releases.swap(swap.0.index(3), swap.1.index(3));
        if let Some(at) = other {
            changed.releases[at.index(3)] = wire(&word(&Publisher::new(2), 9, "evil", "1.0.0"));
        }
        for at in remove {
            changed.releases.remove(at.index(changed.releases.len()));
            changed.key_logs.truncate(changed.releases.len());
        }
        let is_honest = changed == answer;
        if has_names {
            // Nothing else gives the root.
            let code = relay.verify(&ask("word"), changed).map_err(|error| error.code()).err();
            prop_assert_eq!(code, (!is_honest).then_some("relay/bad-proof"));
            return Ok(());
        }
        let verified = relay.verify(&ask("word"), changed).unwrap();
        let shown: BTreeSet<_> = verified.hits.iter().flatten().map(|hit| hit.release.name.to_string()).collect();
        let refused = verified.hits.iter().filter(|hit| hit.is_err()).count();
        prop_assert_eq!(shown.len() + refused, 3);
        prop_assert!(shown.iter().all(|name| ["a", "b", "c"].contains(&&name[..])));
        prop_assert_eq!(refused == 0, is_honest);
    }
}

#[test]
fn a_range_is_verified_under_the_relays_checkpoint() {
    let (_, relay) = honest("word");
    let question = RangeOf::first(b"n/", 2);
    let answer = answer::range(&relay.snapshots, &question).unwrap();
    let proven = verify_range(&question, &answer, &relay.asked()).unwrap();
    assert_eq!((proven.total, proven.walked, proven.hash), (3, 2, relay.latest().map.hash(b"n/")));
    let code = |question: &RangeOf, asked: &Asked<'_>| {
        verify_range(question, &answer, asked).map_err(|error| error.code()).err()
    };
    assert_eq!(code(&RangeOf::first(b"n/", 1), &relay.asked()), BROKEN);
    assert_eq!(code(&RangeOf::first(b"t/", 2), &relay.asked()), Some("relay/bad-proof"));
    assert_eq!(code(&question, &Relay::of(101, Catalogue::new()).asked()), Some("checkpoint/wrong-relay"));
    assert_eq!(code(&question, &Asked { epoch: relay.epoch + 9, ..relay.asked() }), Some("checkpoint/not-fresh"));
}

#[test]
fn neither_fewer_entries_than_were_asked_for_nor_more_pieces_are_accepted() {
    let (_, mut relay) = honest("word");
    relay.lie(|map| (0..200).for_each(|number| map.insert(&[b"z/", &[number][..]].concat(), Leaf::NONE).unwrap()));
    let prefix = Prefix::of(b"z/");
    let range = Range::of(b"z/");
    let answer =
        |proof: Vec<u8>| Evidence { checkpoint: relay.latest().checkpoint.bytes().clone(), proof: proof.into() };
    let asked = relay.asked();
    for (shown, limit, code) in [
        (2, 2, None),
        (1, 2, Some("relay/bad-proof")),
        (0, 1, Some("relay/bad-proof")),
        (200, 256, None),
        (3, 2, BROKEN),
    ] {
        let (question, answer) = (RangeOf::first(b"z/", limit), answer(relay.latest().map.prove(&range, shown)));
        let range = verify_range(&question, &answer, &asked).map_err(|error| error.code()).err();
        let pieces = verify_pieces(&question, &answer, &asked).map_err(|error| error.code()).err();
        assert_eq!((range, pieces), (code, code), "{shown} of {limit}");
    }
    for levels in 0..=MAX_LEVELS {
        let question = RangeOf::of(&range, Show::Levels(levels));
        let of = |levels| answer(relay.latest().map.prove_levels(&prefix, levels));
        let code = |answer| verify_pieces(&question, &answer, &asked).map_err(|error| error.code()).err();
        assert_eq!((code(of(levels)), code(of(levels + 3))), (None, BROKEN), "{levels}");
        let all = RangeOf::of(&Range::of(b""), Show::Levels(levels));
        assert!(
            verify_pieces(&all, &answer(relay.latest().map.prove_levels(&Prefix::of(b""), levels)), &asked).is_ok()
        );
    }
}

#[test]
fn what_was_verified_can_be_offered_to_a_catalogue() {
    let (answer, relay) = honest("word");
    let network = relay.asked().network;
    let mut catalogue = Catalogue::new();
    for hit in relay.verify(&ask("word"), answer).unwrap().hits {
        let hit = hit.unwrap();
        for event in hit.key_log.verified(network).unwrap().events() {
            let inception = Unverified::<Inception>::decode(event).unwrap().verify(network).unwrap();
            catalogue.insert(Record::Inception(inception)).unwrap();
        }
        catalogue.insert(record(hit.release)).unwrap();
    }
    assert_eq!(catalogue.package_count(), 3);
    assert_eq!(catalogue.root(), relay.latest().checkpoint.root.into(), "the same records make the same root");
}

#[test]
fn what_is_recent_stands_in_the_relays_order() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let on = depends_on(&one.package("popular"));
    let user = two.release(0, "user", "1.0.0", |release| release.dependencies = vec![on]);
    let (popular, newer) = (word(&one, 1, "popular", "1.0.0"), word(&one, 2, "newer", "1.0.0"));
    let mut relay = Relay::new(&[&one, &two], [user]);
    relay.insert(popular);
    relay.insert(newer);
    assert_eq!(rows(&relay, relay.answer(&ask("word")).unwrap()), ["popular", "newer"]);
    relay.commit();
    assert_eq!(rows(&relay, relay.answer(&ask("word")).unwrap()), ["popular", "newer"], "and in the checkpoint");
}

#[test]
fn what_a_relay_excludes_it_says_with_the_reason_and_can_neither_make_it_up_nor_deny_it() {
    let one = Publisher::new(1);
    let all =
        [(0, "1.0.0"), (1, "2.0.0-rc.1"), (2, "2.0.0")].map(|(at, version)| one.release(at, "a", version, |_| {}));
    let [old, candidate, new] = &all;
    let elsewhere = one.release(7, "b", "1.0.0", |_| {});
    let mut relay = Relay::new(&[&one], all.iter().cloned().chain([elsewhere.clone()]));
    let package = keys::PackageKey::of(&new.package());
    let answer = |relay: &Relay| answer::range(&relay.snapshots, &MappedVersions::question(&package)).unwrap();
    let read = |relay: &Relay, answer: &Evidence| {
        MappedVersions::verify(&package, answer, &relay.asked()).map(|(checkpoint, versions)| {
            assert_eq!(checkpoint.epoch, relay.epoch);
            versions
        })
    };
    let none = answer(&relay);
    let plain = read(&relay, &none).unwrap();
    assert!(all.iter().all(|release| plain.excludes(release).is_none()));
    assert_eq!(relay.latest().checkpoint.exclusions, None);
    let mut exclusions = Exclusions::default();
    exclusions.add(new.id(), "it is malware").unwrap();
    relay.catalogue.exclude(exclusions.clone());
    relay.commit();
    assert_eq!(relay.latest().checkpoint.exclusions, exclusions.hash());
    let said = answer(&relay);
    let marked = read(&relay, &said).unwrap();
    let reasons = [old, candidate, new, &elsewhere].map(|release| marked.excludes(release));
    assert_eq!(reasons, [None, None, Some("it is malware"), None]);
    let stand_in = |here: &MappedVersions, other: &MappedVersions| {
        [old, candidate, new, &elsewhere].map(|release| here.stands_in_for(release, other))
    };
    let later = Some(ShortId::of(&new.id()));
    assert_eq!(stand_in(&marked, &plain), [later, later, None, None]);
    assert_eq!(stand_in(&plain, &marked), [None; 4]);
    // Who excludes it, too, lists what it lists.
    assert_eq!(stand_in(&marked, &marked), [None; 4]);
    // Who has not the later one lacks the earlier one, too.
    let poor = Relay::new(&[&one], [elsewhere.clone()]);
    assert_eq!(stand_in(&marked, &read(&poor, &answer(&poor)).unwrap()), [None; 4]);

    let denied = Evidence { proof: none.proof, ..said.clone() };
    assert!(read(&relay, &denied).is_err());
    let mut forged = said.clone();
    let at = forged.proof.windows(7).position(|bytes| bytes == b"malware").unwrap();
    forged.proof[at] ^= 1;
    assert!(read(&relay, &forged).is_err());
    // By its name it is there for everybody, as the version that it is.
    let view = relay.package(&Package { name: one.full_name("a"), version: None }).unwrap();
    assert_eq!((view.releases.len(), view.refused.len(), view.head()), (3, 0, Some(new)));
    // A pre-release that is excluded stands behind what is none.
    let mut exclusions = Exclusions::default();
    exclusions.add(candidate.id(), "").unwrap();
    relay.catalogue.exclude(exclusions);
    relay.commit();
    let marked = read(&relay, &answer(&relay)).unwrap();
    assert_eq!((marked.excludes(candidate), stand_in(&marked, &plain)), (Some(""), [None; 4]));
}
