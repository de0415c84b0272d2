use super::*;
use crate::catalogue::testing::{Publisher, network};

/// A key log with a rotation of some pages, each of which keeps one of so many releases.
fn rotated(pages: u32) -> (KeyLog, Vec<Verified<Release>>) {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..pages).map(|at| one.release(at, "a", &format!("1.0.{at}"), |_| {})).collect();
    let ids: Vec<_> = releases.iter().map(Verified::id).collect();
    let rotated = one.rotate_with(&ids, 1, 0);
    let mut key_log = one.key_log();
    _ = key_log.follow(rotated.rotation).unwrap();
    for page in rotated.pages {
        _ = key_log.add_page(page).unwrap();
    }
    (key_log, releases)
}

fn record(release: &Verified<Release>) -> Record {
    Record::Release(Box::new(release.clone()))
}

fn ids(offers: &[Offer]) -> Vec<crate::id::RecordId> {
    let records = offers.iter().flat_map(|offer| &offer.records);
    records.map(|bytes| UnverifiedRecord::decode(bytes).unwrap().id()).collect()
}

#[test]
fn a_key_log_that_fits_goes_in_one_offer_and_a_long_one_in_several_each_record_once_and_in_order() {
    for (pages, offers) in [(1, 1), (29, 1), (30, 2), (200, 7)] {
        let (key_log, releases) = rotated(pages);
        let publication = Publication::of(key_log.clone(), [record(&releases[0])], BTreeMap::new());
        let made = publication.offers(true);
        assert_eq!(made.len(), offers, "{pages} pages");
        let mut expected: Vec<_> = key_log.into_records().iter().map(Record::id).collect();
        expected.push(releases[0].id());
        assert_eq!(ids(&made), expected);
        assert!(made.iter().all(|offer| offer.records.len() <= MAX_RECORDS_PER_OFFER));
        let bytes = |offer: &Offer| offer.records.iter().map(|record| record.len()).sum::<usize>();
        assert!(made.iter().all(|offer| bytes(offer) <= OFFERED_BYTES));
        // A relay that knows the key log is sent no page.
        assert_eq!(ids(&publication.offers(false)).len(), 3);
    }
}

#[test]
fn blocks_go_with_what_names_them() {
    let (key_log, releases) = rotated(40);
    let (cid, data) = (releases[0].artifact.cid, vec![1]);
    let publication = Publication::of(key_log, [record(&releases[0])], BTreeMap::from([(cid, data)]));
    let offers = publication.offers(true);
    let blocks: Vec<_> = offers.iter().map(|offer| offer.blocks.len()).collect();
    assert_eq!(blocks, [0, 1]);
}

#[test]
fn a_relay_that_keeps_what_was_signed_keeps_it_all() {
    let (key_log, releases) = rotated(1);
    let receipt = |kept: &[crate::id::RecordId]| Receipt { kept: kept.to_vec(), new: Vec::new() };
    let both = Publication::of(key_log.clone(), releases.iter().chain(&releases).map(record), BTreeMap::new());
    assert!(both.is_kept(&receipt(&[releases[0].id()])));
    assert!(!both.is_kept(&receipt(&[key_log.head()])));
    let alone = Publication::of(key_log.clone(), [], BTreeMap::new());
    assert!(alone.is_kept(&receipt(&[key_log.head()])));
    assert!(!alone.is_kept(&receipt(&[])));
}

#[test]
fn what_was_signed_is_read_back_whatever_the_order_of_pages() {
    let (key_log, releases) = rotated(3);
    let signed: Vec<Record> = releases.iter().map(record).collect();
    let publication = Publication::of(key_log.clone(), signed.clone(), BTreeMap::new());
    let bytes = |record: &Record| ByteBuf::from(record.bytes().to_vec());
    let written: Vec<_> = key_log.into_records().iter().chain(&signed).map(bytes).collect();
    let network = network();
    assert_eq!(Publication::read(&written, BTreeMap::new(), &network), Ok(publication));
    let code = |records: &[ByteBuf]| Publication::read(records, BTreeMap::new(), &network).unwrap_err().code();
    assert_eq!(code(&[]), "publish/incomplete");
    assert_eq!(code(&written[5..]), "publish/incomplete");
    assert_eq!(code(&[&written[..4], &written[5..]].concat()), "record/field");
    let mut spoiled = written.clone();
    *spoiled.last_mut().unwrap().last_mut().unwrap() ^= 1;
    assert_eq!(code(&spoiled), "record/bad-signature");
}
