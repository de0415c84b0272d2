use super::super::tests::{BROKEN, shop, word};
use super::*;
use crate::catalogue::answer;
use crate::catalogue::testing::Publisher;

#[test]
fn records_asked_for_by_id_are_verified_with_key_logs_known_or_in_the_answer() {
    let (relay, one, two) = shop();
    let catalogue = &relay.catalogue;
    let of = |publisher: &Publisher| {
        let id = publisher.id();
        catalogue.records().find(|record| record.publisher() == id && record.id() != publisher.inception.id()).unwrap()
    };
    let missing = RecordId::from_bytes([0; 32]);
    let ids = vec![of(&one).id(), missing, one.inception.id(), of(&two).id()];
    let question = Records { ids: ids.clone() };
    let answer = answer::records(catalogue, &question).unwrap();
    let verify = |answer: &RecordsAnswer, known: Option<KeyLog>| {
        verify_records(&question, answer.clone(), &one.network, |publisher| {
            known.clone().filter(|log| log.publisher() == *publisher)
        })
    };

    let records = verify(&answer, Some(two.key_log())).unwrap().records;
    let found: Vec<_> =
        records.iter().map(|record| record.as_ref().map(|record| record.as_ref().unwrap().id())).collect();
    assert_eq!(found, [Some(ids[0]), None, Some(ids[2]), Some(ids[3])]);

    let without = verify(&answer, None).unwrap().records;
    assert_eq!(without[3].as_ref().unwrap().as_ref().unwrap_err().error, RefusedError::NoKeyLog(two.id()));

    let mut swapped = answer.clone();
    swapped.records.swap(0, 3);
    let swapped = verify(&swapped, Some(two.key_log())).unwrap().records;
    for at in [0, 3] {
        assert_eq!(swapped[at].as_ref().unwrap().as_ref().unwrap_err().error.code(), "record/wrong-id");
    }
    let mut inception = answer.clone();
    inception.records[2] = Some(ByteBuf::from(record_bytes(&two.inception())));
    let inception = verify(&inception, Some(one.key_log())).unwrap().records;
    assert_eq!(inception[2].as_ref().unwrap().as_ref().unwrap_err().error.code(), "record/wrong-id");

    let mut short = answer.clone();
    short.records.truncate(1);
    assert_eq!(verify(&short, Some(one.key_log())).unwrap().unanswered, ids[1..]);
    let mut long = answer;
    long.records.push(None);
    assert_eq!(verify(&long, None).map_err(|error| error.code()), Err("relay/broke-protocol"));
}

#[test]
fn an_inception_is_verified_by_itself() {
    let (relay, one, _) = shop();
    let question = Records { ids: vec![one.inception.id()] };
    let answer = answer::records(&relay.catalogue, &question).unwrap();
    let verified = verify_records(&question, answer, &one.network, |_| None).unwrap();
    assert_eq!(verified.records, [Some(Ok(Record::Inception(one.inception)))]);
}

#[test]
fn releases_asked_for_by_short_ids_are_those() {
    let (relay, one, two) = shop();
    let [a, b] = [word(&one, 2, "a", "1.0.0"), word(&two, 1, "b", "1.0.0")];
    let missing = ShortId::from_bytes([0; ShortId::BYTES]);
    let question = Named { ids: vec![ShortId::of(&a.id()), missing, ShortId::of(&b.id())] };
    let answer = answer::named(&relay.catalogue, &question).unwrap();
    let found = |answer: &NamedAnswer| {
        let verified = verify_named(&question, answer, &one.network).unwrap().into_iter();
        let id = |hit: Result<Hit, RefusedError>| hit.map(|hit| hit.release.id()).map_err(|error| error.code());
        verified.map(|hit| hit.map(id)).collect::<Vec<_>>()
    };
    assert_eq!(found(&answer), [Some(Ok(a.id())), None, Some(Ok(b.id()))]);
    let mut unsigned = answer.clone();
    let last = unsigned.key_logs[0][0].len() - 1;
    unsigned.key_logs[0][0][last] ^= 1;
    assert_eq!(found(&unsigned), [Some(Err("record/bad-signature")), None, Some(Ok(b.id()))]);
    let mut swapped = answer.clone();
    swapped.releases.swap(0, 2);
    assert_eq!(found(&swapped), [Some(Err("record/not-proven")), None, Some(Err("record/not-proven"))]);
    let mut short = answer.clone();
    short.releases.truncate(1);
    short.key_logs.truncate(1);
    assert_eq!(found(&short), [Some(Ok(a.id()))]);
    let mut long = answer;
    long.releases.push(None);
    assert_eq!(verify_named(&question, &long, &one.network).map_err(|error| error.code()).err(), BROKEN);
}

fn record_bytes(record: &Record) -> Vec<u8> {
    record.bytes().to_vec()
}

#[test]
fn a_key_log_of_another_publisher_is_refused() {
    let (relay, one, two) = shop();
    let answer = answer::key_log_of(&relay.catalogue, &KeyLogOf { publisher: one.id() }).unwrap();
    assert_eq!(verify_key_log(&KeyLogOf { publisher: one.id() }, &answer, &one.network), Ok(Some(one.key_log())));
    let other = verify_key_log(&KeyLogOf { publisher: two.id() }, &answer, &one.network);
    assert_eq!(other.map_err(|error| error.code()), Err("record/wrong-id"));
    assert_eq!(
        verify_key_log(&KeyLogOf { publisher: two.id() }, &KeyLogAnswer { events: vec![] }, &one.network),
        Ok(None)
    );
}
