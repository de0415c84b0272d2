use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::catalogue::Catalogue;
use crate::catalogue::keys;
use crate::catalogue::testing::{Publisher, catalogue};
use crate::codec;
use crate::limits::{MAX_DESCRIPTION_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_ANSWER_BYTES};
use crate::protocol::query::Question;
use crate::record::{Record, UnverifiedRecord};

const SALT: [u8; SALT_BYTES] = [7; SALT_BYTES];

fn releases(publisher: &Publisher, indices: impl IntoIterator<Item = u32>) -> Vec<Record> {
    let release = |index| publisher.release(index, &format!("package-{index}"), "1.0.0", |_| {});
    indices.into_iter().map(|index| Record::Release(Box::new(release(index)))).collect()
}

fn key_of(record: &Record) -> Part {
    Part::of_entry(&keys::record(record)).unwrap()
}

/// What a descent cost.
#[derive(Debug, Default)]
struct Cost {
    /// Bytes of all messages, records included.
    bytes: usize,
    record_bytes: usize,
    records: usize,
    questions: usize,
}

/// Asks as over the wire: every message is encoded, counted and read again.
fn ask<Q: Question>(cost: &mut Cost, question: Q, answer: impl FnOnce(&Q) -> Q::Answer) -> Q::Answer {
    cost.questions += 1;
    cost.bytes += codec::encode(&question.clone().into_request()).len();
    let reply = codec::encode(&answer(&question));
    cost.bytes += reply.len();
    codec::read(&reply, usize::MAX).unwrap()
}

/// Fetches parts as a relay does. `most`: questions after which the connection breaks.
fn fetch(
    here: &mut Catalogue,
    there: &Catalogue,
    descent: &mut Descent,
    parts: Vec<Part>,
    cost: &mut Cost,
) -> Result<(), Error> {
    let mut asked = RecordsOf { parts, after: None };
    loop {
        let answer = ask(cost, asked.clone(), |question| records_of(there, question).unwrap());
        let mut records = Vec::new();
        for bytes in &answer.records {
            let id = UnverifiedRecord::decode(bytes).unwrap().id();
            records.push(there.record(&id).unwrap().clone());
            cost.record_bytes += bytes.len();
        }
        cost.records += records.len();
        let keys: Vec<_> = records.iter().map(key_of).collect();
        for record in records {
            here.insert(record).expect("key logs come before releases");
        }
        descent.on_sound(keys.len() as u64);
        let bytes = answer.records.iter().map(|record| record.len()).sum();
        match descent.on_records(&asked, &keys, bytes, answer.rest)? {
            Some(after) => asked.after = Some(after),
            None => return Ok(()),
        }
    }
}

/// The next step of a descent that has an end.
fn next_step(descent: &mut Descent, steps: &mut u32) -> Result<Option<Step>, Error> {
    *steps += 1;
    assert!(*steps < 10_000, "it goes on for ever");
    descent.next_step()
}

/// Performs a descent, as a relay does with another one; at most so many questions.
fn perform_some(here: &mut Catalogue, there: &Catalogue, most: usize) -> Result<Cost, Error> {
    let (mut descent, mut cost, mut steps) = (Descent::new(SALT), Cost::default(), 0);
    while cost.questions < most
        && let Some(step) = next_step(&mut descent, &mut steps)?
    {
        match step {
            Step::Compare(question) => {
                let answer = ask(&mut cost, question.clone(), |question| compare(there.map(), question).unwrap());
                descent.on_compared(here.map(), &question.parts, &answer)?;
            }
            Step::Fetch(parts) => {
                let still = descent.still_missing(here.map(), &parts);
                fetch(here, there, &mut descent, still, &mut cost)?;
            }
            Step::Wait => {}
        }
    }
    Ok(cost)
}

fn perform(here: &mut Catalogue, there: &Catalogue) -> Result<Cost, Error> {
    perform_some(here, there, usize::MAX)
}

fn publishers() -> Vec<Publisher> {
    (1..=8).map(Publisher::new).collect()
}

/// Many records, built once.
fn many() -> &'static Catalogue {
    static MANY: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    MANY.get_or_init(|| {
        let publishers = publishers();
        let mut built = catalogue(&publishers.iter().collect::<Vec<_>>(), []);
        for publisher in &publishers {
            releases(publisher, 0..200).into_iter().for_each(|record| _ = built.insert(record).unwrap());
        }
        built
    })
}

#[test]
fn an_empty_relay_gets_everything_for_little_more_than_the_records() {
    let there = many();
    let mut here = Catalogue::new();
    let cost = perform(&mut here, there).unwrap();
    assert_eq!((cost.records, here.root()), (1608, there.root()));
    // The records of these tests are a third as long as real ones.
    assert!(cost.bytes * 100 < cost.record_bytes * 105, "{cost:?}");
}

#[test]
fn a_few_differences_cost_a_few_kilobytes() {
    let publishers = publishers();
    let (mut here, mut there) = (many().clone(), many().clone());
    assert!(perform(&mut here, &there).unwrap().bytes < 512, "what is the same is not asked for");
    for publisher in &publishers {
        releases(publisher, [900]).into_iter().for_each(|record| _ = there.insert(record).unwrap());
        releases(publisher, [901]).into_iter().for_each(|record| _ = here.insert(record).unwrap());
    }
    let cost = perform(&mut here, &there).unwrap();
    assert_eq!(cost.records, 8);
    assert!(cost.bytes - cost.record_bytes < 8 * 1024, "{cost:?}");
    let back = perform(&mut there, &here).unwrap();
    assert_eq!((back.records, there.root()), (8, here.root()));
}

#[test]
fn a_descent_that_was_cut_goes_on_without_fetching_again() {
    let there = many();
    let (mut here, mut records, mut cuts) = (Catalogue::new(), 0, 0);
    while here.root() != there.root() {
        records += perform_some(&mut here, there, 4).unwrap().records;
        cuts += 1;
        assert!(cuts < 100);
    }
    assert!(cuts > 2, "it was cut");
    assert_eq!(records, 1608);
}

#[test]
fn what_came_from_elsewhere_meanwhile_is_not_fetched() {
    let there = many();
    let (mut here, mut descent, mut cost) = (Catalogue::new(), Descent::new(SALT), Cost::default());
    let (mut is_first, mut steps) = (true, 0);
    while let Some(step) = next_step(&mut descent, &mut steps).unwrap() {
        match step {
            Step::Compare(question) => {
                let answer = compare(there.map(), &question).unwrap();
                descent.on_compared(here.map(), &question.parts, &answer).unwrap();
            }
            Step::Fetch(parts) => {
                if std::mem::take(&mut is_first) {
                    here = there.clone();
                }
                let still = descent.still_missing(here.map(), &parts);
                fetch(&mut here, there, &mut descent, still, &mut cost).unwrap();
            }
            Step::Wait => {}
        }
    }
    assert_eq!((is_first, cost.records), (false, 0));
}

#[test]
fn what_was_postponed_is_compared_again_and_not_fetched_twice() {
    let there = many();
    let (mut here, mut descent, mut cost) = (Catalogue::new(), Descent::new(SALT), Cost::default());
    let (mut waited, mut steps) = (0, 0);
    while let Some(step) = next_step(&mut descent, &mut steps).unwrap() {
        match step {
            Step::Compare(question) => {
                let answer = compare(there.map(), &question).unwrap();
                descent.on_compared(here.map(), &question.parts, &answer).unwrap();
            }
            Step::Fetch(parts) if waited == 0 => parts.into_iter().for_each(|part| descent.postpone(part)),
            Step::Fetch(parts) => fetch(&mut here, there, &mut descent, parts, &mut cost).unwrap(),
            // Meanwhile, another relay brings all but one.
            Step::Wait => {
                waited += 1;
                let last = there.records().filter(|record| matches!(record, Record::Release(_))).last().unwrap().id();
                let but_one = |record: &&Record| matches!(record, Record::Inception(_)) || record.id() != last;
                there.records().filter(|record| matches!(record, Record::Inception(_))).for_each(|record| {
                    here.insert(record.clone()).unwrap();
                });
                there.records().filter(but_one).for_each(|record| _ = here.insert(record.clone()).unwrap());
            }
        }
    }
    assert_eq!((waited, cost.records, here.root()), (1, 1, there.root()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn two_relays_that_ask_each_other_are_the_same(
        here in prop::collection::btree_set((0_usize..3, 0_u32..40), 0..60),
        there in prop::collection::btree_set((0_usize..3, 0_u32..40), 0..60),
    ) {
        let publishers: Vec<_> = (1..=3).map(Publisher::new).collect();
        let build = |chosen: &BTreeSet<(usize, u32)>| {
            let known = publishers.iter().enumerate().filter(|(who, _)| chosen.iter().any(|(one, _)| one == who));
            let mut built = catalogue(&known.map(|(_, one)| one).collect::<Vec<_>>(), []);
            for (who, index) in chosen {
                releases(&publishers[*who], [*index]).into_iter().for_each(|record| _ = built.insert(record).unwrap());
            }
            built
        };
        let (mut here, mut there) = (build(&here), build(&there));
        let lacks = there.records().filter(|record| here.record(&record.id()).is_none()).count();
        let cost = perform(&mut here, &there.clone()).unwrap();
        prop_assert_eq!(cost.records, lacks, "each record that was missing, once, and no other");
        perform(&mut there, &here.clone()).unwrap();
        prop_assert_eq!(here.root(), there.root());
        prop_assert_eq!(here.record_count(), there.record_count());
    }

    #[test]
    fn a_part_has_one_encoding_and_no_other_bytes_are_one(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        if let Ok(part) = Part::try_from(ByteBuf::from(bytes.clone())) {
            let wire: ByteBuf = part.clone().into();
            prop_assert_eq!(wire.into_vec(), bytes);
            // Whatever a peer asks for, there is an answer.
            let map = many();
            let question = Compare { salt: ByteBuf::from(SALT.to_vec()), parts: vec![part.clone()] };
            prop_assert!(compare(map.map(), &question).is_ok());
            let question = RecordsOf { parts: vec![part.clone()], after: Some(part) };
            prop_assert!(records_of(map, &question).is_ok());
        }
    }

    #[test]
    fn the_parts_of_a_part_are_apart_and_all_of_it(record in 0_usize..1608, depth in 0_usize..=130) {
        let map = many().map();
        let keys = || map.iter(&keys::records()).filter_map(|(entry, _)| Part::of_entry(&entry));
        let key = keys().nth(record).unwrap();
        let halves = |at: usize| if at.is_multiple_of(2) { key.bytes[at / 2] >> 4 } else { key.bytes[at / 2] & 15 };
        let part = (0..depth).fold(Part::ALL, |part, at| part.child(halves(at)));
        prop_assert!(part.contains(&key) && part.contains(&part) && part.is_key() == (depth == 130));
        let expected: Vec<_> = keys().filter(|key| part.contains(key)).collect();
        let found = |after: Option<&Part>| {
            part.entries(map, after).filter_map(|(entry, _)| Part::of_entry(&entry)).collect::<Vec<_>>()
        };
        prop_assert_eq!(found(None), expected.clone());
        prop_assert_eq!(map.count_under(&part.prefix()), expected.len() as u64);
        prop_assert_eq!(found(Some(&key)), expected.into_iter().filter(|other| *other > key).collect::<Vec<_>>());
        if depth < 130 {
            let children: Vec<_> = (0..16).map(|half| part.child(half)).collect();
            prop_assert_eq!(children.iter().filter(|child| child.contains(&key)).count(), 1);
            prop_assert!(children.is_sorted() && children.windows(2).all(|pair| !pair[0].meets(&pair[1])));
        }
    }
}

#[test]
fn an_answer_is_cut_where_it_is_full_and_goes_on_there() {
    let there = many();
    let all = RecordsOf { parts: vec![Part::ALL], after: None };
    let first = records_of(there, &all).unwrap();
    let bytes: usize = first.records.iter().map(|record| record.len()).sum();
    assert!(first.rest && bytes <= MAX_RECORDS_ANSWER_BYTES && bytes > MAX_RECORDS_ANSWER_BYTES / 2);
    let (mut here, mut descent, mut cost) = (Catalogue::new(), Descent::new(SALT), Cost::default());
    descent.room = 1608;
    fetch(&mut here, there, &mut descent, vec![Part::ALL], &mut cost).unwrap();
    assert_eq!(here.root(), there.root());
    assert_eq!(cost.questions, there.records().map(|one| one.bytes().len()).sum::<usize>() / bytes + 1);
}

#[test]
fn an_answer_has_room_for_just_so_many_bytes() {
    let publisher = Publisher::new(1);
    let release = |index: u32, length: usize| {
        Record::Release(Box::new(publisher.release(index, "thing", &format!("1.{index}.0"), |release| {
            release.description = "a".repeat(length);
        })))
    };
    let mut built = catalogue(&[&publisher], []);
    // Indices, versions and descriptions of such lengths are written alike: each byte of a description is one of the record.
    let (first, shortest, longest) = (300_u32, 256, MAX_DESCRIPTION_BYTES);
    let least = release(first, shortest).bytes().len();
    let room = MAX_RECORDS_ANSWER_BYTES - publisher.inception.bytes().len();
    let count = room.div_ceil(least + longest - shortest);
    for at in 0..count {
        let length = room / count + usize::from(at < room % count);
        built.insert(release(first + u32::try_from(at).unwrap(), shortest + length - least)).unwrap();
    }
    assert_eq!(built.records().map(|record| record.bytes().len()).sum::<usize>(), MAX_RECORDS_ANSWER_BYTES);
    let all = RecordsOf { parts: vec![Part::ALL], after: None };
    let answer = records_of(&built, &all).unwrap();
    assert_eq!((answer.rest, answer.records.len()), (false, built.record_count()));
    built.insert(release(0, 0)).unwrap();
    assert!(records_of(&built, &all).unwrap().rest);
}

#[test]
fn a_part_in_a_message_is_a_part_in_its_only_form() {
    let of = |form: u8, bytes: &[u8]| Part::try_from(ByteBuf::from([&[form], bytes].concat()));
    let key = key_of(many().records().next().unwrap()).bytes;
    assert!(of(0, &key).is_ok_and(|part| part.is_key() && part.entries(many().map(), None).count() == 1));
    assert!(of(0, &[&key[..], &[0]].concat()).is_err(), "longer than a key");
    assert!(of(1, &[0x10]).is_ok());
    assert!(of(1, &[0x1f]).is_err(), "what is not known of it is zero");
    assert!(of(1, &[]).is_err() && of(2, &[0x10]).is_err());
}

#[test]
fn questions_out_of_bounds_are_refused() {
    let there = many();
    let code = |reply: Result<(), crate::protocol::query::Refusal>| reply.map_err(|refusal| refusal.code).unwrap_err();
    let salt = ByteBuf::from(SALT.to_vec());
    let many = vec![Part::ALL; MAX_PARTS_PER_REQUEST + 1];
    let compare = |salt: &ByteBuf, parts: &[Part]| {
        compare(there.map(), &Compare { salt: salt.clone(), parts: parts.to_vec() }).map(|_| ())
    };
    assert_eq!(code(compare(&salt, &many)), "query/bad-range");
    assert_eq!(code(compare(&ByteBuf::from(vec![1]), &[Part::ALL])), "query/bad-range");
    let records = |parts: Vec<Part>| records_of(there, &RecordsOf { parts, after: None }).map(|_| ());
    assert_eq!(code(records(many)), "query/bad-range");
    let (low, high) = (Part::ALL.child(1), Part::ALL.child(2));
    assert_eq!(code(records(vec![high.clone(), low.clone()])), "query/bad-range");
    assert_eq!(code(records(vec![low.clone(), low.child(3)])), "query/bad-range", "one in the other");
    assert_eq!(records(vec![low, high]), Ok(()));
}

#[test]
fn answers_that_are_none_are_refused() {
    let here = Catalogue::new();
    let (low, high) = (Part::ALL.child(1), Part::ALL.child(2));
    let told = |part: &Part, below: Below| {
        Descent::new(SALT).on_compared(here.map(), std::slice::from_ref(part), &Compared { parts: vec![below] })
    };
    let key = key_of(many().records().next().unwrap());
    let sixteen = |count, tags: usize| Below { common: None, counts: vec![count; 16], tags: vec![0; tags].into() };
    assert_eq!(told(&Part::ALL, Below::default()), Ok(()));
    assert_eq!(told(&Part::ALL, sixteen(3, 16 * TAG_BYTES)), Ok(()));
    assert_eq!(told(&Part::ALL, sixteen(u64::MAX, 16 * TAG_BYTES)), Ok(()), "sums don't overflow");
    assert_eq!(told(&Part::ALL, Below { common: Some(key.clone()), counts: vec![1], tags: ByteBuf::new() }), Ok(()));
    let no_answer = Err(Error::NotAnAnswer);
    assert_eq!(told(&Part::ALL, sixteen(3, 15 * TAG_BYTES)), no_answer);
    assert_eq!(told(&key, sixteen(3, 16 * TAG_BYTES)), no_answer, "nothing stands below a key");
    assert_eq!(told(&low, Below { common: Some(high.clone()), ..sixteen(3, 16 * TAG_BYTES) }), no_answer);
    assert_eq!(told(&low, Below { counts: vec![1], ..Below::default() }), no_answer, "alone, and without its key");
    assert_eq!(told(&low, Below { counts: vec![1; 3], tags: vec![0; 24].into(), common: None }), no_answer);
    let nothing = Compared { parts: Vec::new() };
    assert_eq!(Descent::new(SALT).on_compared(here.map(), &[low], &nothing), no_answer);
}

#[test]
fn records_that_were_not_asked_for_are_refused() {
    let keys: Vec<_> = many().map().iter(&keys::records()).filter_map(|(entry, _)| Part::of_entry(&entry)).collect();
    let asked = |parts: &[&Part], after: Option<&Part>| RecordsOf {
        parts: parts.iter().map(|part| (*part).clone()).collect(),
        after: after.cloned(),
    };
    let full = MAX_RECORDS_ANSWER_BYTES - MAX_RECORD_BYTES + 1;
    let told = |asked: RecordsOf, keys: &[Part], rest| Descent::new(SALT).on_records(&asked, keys, full, rest);
    let all = Part::ALL;
    assert_eq!(told(asked(&[&all], None), &keys[..2], false), Ok(None));
    assert_eq!(told(asked(&[&all], None), &keys[..2], true), Ok(Some(keys[1].clone())));
    assert_eq!(told(asked(&[&all], Some(&keys[1])), &keys[2..3], true), Ok(Some(keys[2].clone())));
    assert_eq!(told(asked(&[&keys[5]], None), &keys[..1], false), Err(Error::NotAsked));
    assert_eq!(told(asked(&[&all], Some(&keys[1])), &keys[1..2], true), Err(Error::NotAsked), "the same again");
    assert_eq!(told(asked(&[&all], None), &[keys[1].clone(), keys[0].clone()], false), Err(Error::NotAsked));
    let told_in = |bytes| Descent::new(SALT).on_records(&asked(&[&all], None), &keys[..2], bytes, true);
    assert_eq!(told_in(full - 1), Err(Error::NotAnAnswer), "one more would have fit");
    assert_eq!(told_in(full), Ok(Some(keys[1].clone())));
    let mut descent = Descent::new(SALT);
    descent.room = 3;
    let mut next = |after: Option<usize>, came: &[Part]| {
        descent.on_records(&asked(&[&all], after.map(|at| &keys[at])), came, full, true)
    };
    assert_eq!(next(None, &keys[..2]), Ok(Some(keys[1].clone())));
    assert_eq!(next(Some(1), &keys[2..4]), Ok(None), "more than was promised");
    assert_eq!(told(asked(&[&all], None), &[], false), Ok(None), "it left in between");
}

#[test]
fn a_part_that_is_said_to_have_one_record_is_opened_where_much_is_here() {
    let (here, mut descent) = (many(), Descent::new(SALT));
    let Some(Step::Compare(question)) = descent.next_step().unwrap() else { panic!("it begins with all") };
    let alone = Below { common: None, counts: vec![1; 16], tags: vec![0; 16 * TAG_BYTES].into() };
    descent.on_compared(here.map(), &question.parts, &Compared { parts: vec![alone] }).unwrap();
    let opened = |part: &Part| here.map().count_under(&part.prefix()) > MAX_LOOKED_THROUGH;
    let expected: Vec<_> = (0..16).map(|half| Part::ALL.child(half)).filter(opened).collect();
    assert!(expected.len() > 3);
    let Some(Step::Compare(question)) = descent.next_step().unwrap() else { panic!("few are missing") };
    assert_eq!(question.parts, expected);
}

#[test]
fn a_map_without_end_is_given_up() {
    let (mut descent, here) = (Descent::new(SALT), Catalogue::new());
    let (mut compared, mut steps) = (0, 0);
    loop {
        match next_step(&mut descent, &mut steps) {
            Ok(Some(Step::Compare(question))) => {
                compared += question.parts.len() as u64;
                let endless = Below { common: None, counts: vec![u64::MAX; 16], tags: vec![0; 16 * TAG_BYTES].into() };
                let parts = question.parts.iter().map(|part| match part.bytes.len() {
                    0..60 => endless.clone(),
                    _ => Below::default(),
                });
                let answer = Compared { parts: parts.collect() };
                descent.on_compared(here.map(), &question.parts, &answer).unwrap();
            }
            Ok(Some(_)) => panic!("there is nothing to fetch"),
            Ok(None) => panic!("it ended"),
            Err(error) => break assert_eq!(error, Error::TooManyQuestions),
        }
    }
    assert!(compared <= FREE_PARTS);
}

/// A descent whose first answer said of each sixteenth how many records it has, and nothing of it is here.
fn descent_with(counts: &[u64]) -> Descent {
    let mut descent = Descent::new(SALT);
    let Some(Step::Compare(question)) = descent.next_step().unwrap() else { panic!("it begins with all") };
    let counts: Vec<_> = counts.iter().copied().chain(std::iter::repeat(0)).take(Part::CHILDREN).collect();
    let filled = counts.iter().filter(|count| **count > 0).count();
    let below = Below { common: None, counts, tags: vec![0; filled * TAG_BYTES].into() };
    descent.on_compared(Catalogue::new().map(), &question.parts, &Compared { parts: vec![below] }).unwrap();
    descent
}

#[test]
fn records_are_fetched_as_soon_as_there_are_enough_for_a_question() {
    let too_many = MAX_RECORDS_OF_PART + 1;
    let children = |range: std::ops::Range<u8>| range.map(|half| Part::ALL.child(half)).collect::<Vec<_>>();
    let first = |counts: &[u64]| descent_with(counts).next_step().unwrap().unwrap();
    assert_eq!(first(&[ENOUGH_RECORDS, too_many]), Step::Fetch(children(0..1)));
    assert!(matches!(first(&[ENOUGH_RECORDS - 1, too_many]), Step::Compare(it) if it.parts == children(1..2)));
    assert_eq!(first(&[1]), Step::Fetch(children(0..1)), "there is nothing else to do");

    let mut descent = descent_with(&[too_many]);
    descent.missing = (0..MAX_PARTS_PER_REQUEST).map(|_| Missing { part: Part::ALL, count: 1, here: None }).collect();
    assert!(matches!(descent.next_step(), Ok(Some(Step::Fetch(parts))) if parts.len() == MAX_PARTS_PER_REQUEST));
    descent.missing = (1..MAX_PARTS_PER_REQUEST).map(|_| Missing { part: Part::ALL, count: 1, here: None }).collect();
    assert!(matches!(descent.next_step(), Ok(Some(Step::Compare(_)))));
}

#[test]
fn a_question_asks_for_as_many_records_as_an_answer_has_room_for() {
    let lengths = |counts: &[u64]| {
        let mut descent = descent_with(counts);
        std::iter::from_fn(|| match descent.next_step().unwrap()? {
            Step::Fetch(parts) => Some((parts.len(), descent.room - MORE_THAN_PROMISED)),
            step => panic!("{step:?}"),
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[ENOUGH_RECORDS - 1, 1, 1]), [(2, ENOUGH_RECORDS), (1, 1)]);
    assert_eq!(lengths(&[ENOUGH_RECORDS, 1]), [(1, ENOUGH_RECORDS), (1, 1)]);
    assert_eq!(lengths(&[ENOUGH_RECORDS + 1, 2]), [(1, ENOUGH_RECORDS + 1), (1, 2)], "one part is always asked for");
    let mut descent = descent_with(&[]);
    let missing = |_| Missing { part: Part::ALL, count: 1, here: None };
    descent.missing = (0..MAX_PARTS_PER_REQUEST + 1).map(missing).collect();
    assert_eq!([descent.take_missing().len(), descent.take_missing().len()], [MAX_PARTS_PER_REQUEST, 1]);
}

#[test]
fn as_many_parts_are_compared_as_records_pay_for_and_no_more() {
    for delivered in [0, 5] {
        let allowed = FREE_PARTS + delivered * PARTS_PER_RECORD;
        let after = |compared| {
            let mut descent = Descent::new(SALT);
            descent.on_sound(delivered);
            assert_eq!(descent.delivered(), delivered);
            descent.compared = compared;
            descent.next_step().map(|step| step.is_some())
        };
        assert_eq!(after(allowed - 1), Ok(true));
        assert_eq!(after(allowed), Err(Error::TooManyQuestions));
    }
}

#[test]
fn how_many_records_there_are_is_what_the_first_answer_says() {
    let mut descent = descent_with(&[2000, 0, 3]);
    assert_eq!(descent.total(), 2003);
    let Some(Step::Compare(question)) = descent.next_step().unwrap() else { panic!("too many to fetch") };
    let below = Below { common: None, counts: vec![1; 16], tags: vec![0; 16 * TAG_BYTES].into() };
    descent.on_compared(Catalogue::new().map(), &question.parts, &Compared { parts: vec![below] }).unwrap();
    assert_eq!(descent.total(), 2003, "and not what a part has");
}

#[test]
fn the_only_record_of_a_part_is_looked_for_among_the_few_that_are_here() {
    let publisher = Publisher::new(1);
    let of = |records: u64| {
        let mut built = catalogue(&[&publisher], []);
        // Its inception is one of them.
        releases(&publisher, 1..u32::try_from(records).unwrap())
            .into_iter()
            .for_each(|it| _ = built.insert(it).unwrap());
        built
    };
    let next = |here: &Catalogue, theirs: &Record| {
        let entry = keys::record(theirs);
        let part = (0..Part::CHILDREN as u8).map(|half| Part::ALL.child(half)).find(|it| it.contains(&key_of(theirs)));
        let mut descent = Descent::new(SALT);
        let Some(Step::Compare(question)) = descent.next_step().unwrap() else { panic!("it begins with all") };
        let counts = (0..Part::CHILDREN as u8).map(|half| u64::from(Some(Part::ALL.child(half)) == part)).collect();
        let tags = tag(&SALT, &Hash::leaf(&entry, &[])).to_vec().into();
        let answer = Compared { parts: vec![Below { common: None, counts, tags }] };
        descent.on_compared(here.map(), &question.parts, &answer).unwrap();
        (descent.next_step().unwrap(), part.unwrap())
    };
    let (few, many) = (of(MAX_LOOKED_THROUGH), of(MAX_LOOKED_THROUGH + 1));
    let known = few.records().last().unwrap();
    assert_eq!(next(&few, known).0, None, "it is here");
    let unknown = &releases(&publisher, [900])[0];
    let (step, part) = next(&few, unknown);
    assert_eq!(step, Some(Step::Fetch(vec![part])));
    let (step, part) = next(&many, known);
    assert!(matches!(step, Some(Step::Compare(question)) if question.parts == [part]));
}
