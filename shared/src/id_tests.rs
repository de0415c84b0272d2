use proptest::prelude::*;

use super::*;
use crate::codec;

const ZEROS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn publisher() -> PublisherId {
    PublisherId::from_bytes(std::array::from_fn(|at| at as u8 * 7))
}

#[test]
fn an_id_is_written_in_lower_case_base32() {
    assert_eq!(RecordId::from_bytes([0; 32]).to_string(), ZEROS);
    assert_eq!(RecordId::from_bytes([0xff; 32]).to_string(), format!("{}q", "7".repeat(51)));
    assert_eq!(Fingerprint::from_bytes([0xff; 10]).to_string(), "7".repeat(16));
    // RFC 4648's own example, in its first bytes.
    let foobar = *b"foobarfoob";
    assert_eq!(Fingerprint::from_bytes(foobar).to_string(), "mzxw6ytbojtg633c");
}

#[test]
fn rejects_ids_in_any_other_text_form() {
    let error = Err(ParseError::NotBase32 { what: "a record id", expected: 52 });
    assert_eq!(ZEROS.parse(), Ok(RecordId::from_bytes([0; 32])));
    for bad in [
        String::new(),
        ZEROS.to_uppercase(),
        ZEROS[1..].into(),
        format!("{ZEROS}a"),
        format!("{ZEROS}===="),
        format!("{}=", &ZEROS[1..]),
        format!("{} ", &ZEROS[1..]),
        // The last character has four bits of which none is the id's.
        format!("{}b", &ZEROS[1..]),
        format!("{}i", &ZEROS[1..]),
        format!("{}0", &ZEROS[1..]),
        format!("{}1", &ZEROS[1..]),
        format!("{}8", &ZEROS[1..]),
        "é".repeat(26),
        "a".repeat(1_000_000),
    ] {
        assert_eq!(bad.parse::<RecordId>(), error, "{}", bad.chars().take(80).collect::<String>());
    }
}

#[test]
fn ids_show_what_they_are() {
    let id = RecordId::from_bytes([0; 32]);
    assert_eq!(format!("{id:?}"), format!("RecordId({ZEROS})"));
    assert_eq!(format!("{:?}", Handle::new("ggen").unwrap()), "\"ggen\"");
    assert_eq!(Handle::new("ggen").unwrap().to_string(), "ggen");
    assert_eq!(PackageName::new("pack").unwrap().to_string(), "pack");
}

#[test]
fn rejects_ids_of_another_length_on_the_wire() {
    let id = RecordId::from_bytes([7; 32]);
    assert_eq!(codec::decode(&codec::encode(&id), 100), Ok(id));
    assert_eq!(codec::encode(&id)[..2], [0x58, 32]);
    for length in [0, 31, 33] {
        let bytes = codec::encode(&serde_bytes::ByteBuf::from(vec![7; length]));
        assert!(codec::decode::<RecordId>(&bytes, 100).is_err());
    }
    assert!(codec::decode::<RecordId>(&codec::encode(&vec![7u8; 32]), 100).is_err(), "a list is no byte string");
}

#[test]
fn a_publisher_is_its_inception_and_its_fingerprint_the_beginning() {
    let publisher = publisher();
    assert_eq!(publisher.inception().as_bytes(), publisher.as_bytes());
    assert_eq!(PublisherId::from_inception(publisher.inception()), publisher);
    assert_eq!(publisher.fingerprint().as_bytes(), &publisher.as_bytes()[..10]);
    assert!(publisher.to_string().starts_with(&publisher.fingerprint().to_string()));
}

#[test]
fn a_commitment_is_of_one_key_and_not_its_plain_hash() {
    let (one, other) = (PublicKey::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
    assert_ne!(KeyCommitment::to_key(&one), KeyCommitment::to_key(&other));
    assert_ne!(KeyCommitment::to_key(&one).as_bytes(), blake3::hash(one.as_bytes()).as_bytes());
    let hash = blake3::derive_key("ggen marketplace 2026 next key commitment", &[1; 32]);
    assert_eq!(KeyCommitment::to_key(&one).as_bytes(), &hash);
}

/// Both ways in refuse it: text that a person gave, and the wire.
fn is_package_name(text: &str) -> bool {
    let parsed = PackageName::new(text).is_ok();
    assert_eq!(parsed, text.parse::<PackageName>().is_ok());
    assert_eq!(parsed, codec::decode::<PackageName>(&codec::encode(&text), 1000).is_ok());
    parsed
}

fn is_handle(text: &str) -> bool {
    let parsed = Handle::new(text).is_ok();
    assert_eq!(parsed, text.parse::<Handle>().is_ok());
    assert_eq!(parsed, codec::decode::<Handle>(&codec::encode(&text), 1000).is_ok());
    parsed
}

#[test]
fn a_package_name_is_a_segment_of_a_path_and_nothing_else() {
    let longest = "a".repeat(limits::MAX_NAME_BYTES);
    for good in ["a", "0", "serde_json", "tower-http", "node.js", "a.b.c", "7zip", "a_-.b", &longest] {
        assert!(is_package_name(good), "{good}");
    }
    for bad in [
        "", ".", "..", "a..b", ".a", "-a", "_a", "A", "aB", "a/b", "/a", "a\\b", "a b", "a\0", "a\n", "ä", "aä", "a~b",
        "a%2e", "a:b",
    ] {
        assert!(!is_package_name(bad), "{bad:?}");
    }
    assert!(!is_package_name(&format!("{longest}a")));
}

#[test]
fn a_handle_has_letters_digits_and_inner_dashes() {
    let longest = "a".repeat(limits::MAX_HANDLE_BYTES);
    for good in ["a", "0", "dtolnay", "rust-lang", "a--b", &longest] {
        assert!(is_handle(good), "{good}");
    }
    for bad in ["", "-", "-a", "a-", "A", "a.b", "a_b", "a/b", "a~b", "a b", "ä", "a\0"] {
        assert!(!is_handle(bad), "{bad:?}");
    }
    assert!(!is_handle(&format!("{longest}a")));
}

#[test]
fn a_name_says_which_rule_it_breaks() {
    let reason = |text: &str| PackageName::new(text).unwrap_err().to_string();
    assert_eq!(reason(""), "a package name has 1 to 64 characters");
    assert_eq!(reason(".a"), "a package name begins with a lower-case letter or a digit");
    assert_eq!(reason("a/b"), "a package name has only lower-case letters, digits, '.', '_' and '-'");
    assert_eq!(reason("a..b"), "a package name has no two dots in a row");
    assert_eq!(Handle::new("a-").unwrap_err().to_string(), "a handle neither begins nor ends with '-'");
}

#[test]
fn a_full_name_is_read_as_it_is_written() {
    let fingerprint = publisher().fingerprint();
    for handle in [None, Some(Handle::new("ggen").unwrap())] {
        let name = FullName { handle, fingerprint, name: PackageName::new("pack").unwrap() };
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    assert_eq!(format!("~{fingerprint}/pack").parse::<FullName>().unwrap().handle, None);
    for bad in [
        "".into(),
        "pack".into(),
        "ggen/pack".into(),
        format!("ggen~{fingerprint}"),
        format!("ggen~{fingerprint}/"),
        format!("ggen~{fingerprint}/a/b"),
        format!("ggen~{fingerprint}/../b"),
        format!("ggen~{}/pack", &fingerprint.to_string()[1..]),
        format!("ggen~{}/pack", fingerprint.to_string().to_uppercase()),
        format!("ggen~~{fingerprint}/pack"),
        format!("Ggen~{fingerprint}/pack"),
        format!(" ggen~{fingerprint}/pack"),
        format!("ggen~{}/pack", publisher()),
    ] {
        assert!(bad.parse::<FullName>().is_err(), "{bad}");
    }
}

#[test]
fn a_full_name_means_the_publisher_of_its_fingerprint_and_of_its_handle_if_it_has_one() {
    let (ggen, other) = (Handle::new("ggen").unwrap(), Handle::new("other").unwrap());
    let name =
        |handle| FullName { handle, fingerprint: publisher().fingerprint(), name: PackageName::new("p").unwrap() };
    let stranger = PublisherId::from_bytes([9; 32]);
    assert!(name(Some(ggen.clone())).means(&publisher(), &ggen));
    assert!(name(None).means(&publisher(), &other));
    assert!(!name(Some(ggen.clone())).means(&publisher(), &other));
    assert!(!name(Some(ggen.clone())).means(&stranger, &ggen));
    assert!(!name(None).means(&stranger, &ggen));
}

#[test]
fn a_network_has_a_short_name() {
    assert_eq!(Network::main().as_str(), "ggen");
    assert_eq!(Network::main().to_string(), "ggen");
    let longest = "a".repeat(limits::MAX_NETWORK_NAME_BYTES);
    assert_eq!(Network::named(&longest).unwrap().as_str(), longest);
    assert!(Network::named("").is_err());
    assert!(Network::named(format!("{longest}a")).is_err());
}

proptest! {
    #[test]
    fn ids_read_back_from_text_and_wire(bytes: [u8; 32], short: [u8; 10]) {
        let id = RecordId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(codec::decode(&codec::encode(&id), 100), Ok(id));
        let fingerprint = Fingerprint::from_bytes(short);
        prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        prop_assert_eq!(PublicKey::from_bytes(bytes).to_string().parse(), Ok(PublicKey::from_bytes(bytes)));
        prop_assert_eq!(KeyCommitment::from_bytes(bytes).to_string().parse(), Ok(KeyCommitment::from_bytes(bytes)));
    }

    #[test]
    fn an_id_has_no_second_text_form(text in "[a-z2-7]{52}") {
        if let Ok(id) = text.parse::<PublisherId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(text: String) {
        let _ = text.parse::<RecordId>();
        if let Ok(name) = text.parse::<PackageName>() {
            prop_assert_eq!(name.as_str(), &text);
        }
        if let Ok(name) = text.parse::<FullName>() {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn names_have_only_what_a_path_and_a_url_can_show(text in "[a-zA-Z0-9._/\\\\~% -]{1,8}") {
        if is_package_name(&text) {
            prop_assert!(!text.contains(['/', '\\', '~', '%', ' ']) && !text.starts_with('.') && !text.contains(".."));
        }
        is_handle(&text);
    }
}

#[test]
fn a_package_is_written_by_its_publisher_and_name() {
    let publisher = PublisherId::from_inception(RecordId::from_bytes([7; 32]));
    let id = PackageId { publisher, name: "serde".parse().unwrap() };
    assert_eq!(id.to_string(), format!("{publisher}/serde"));
}
