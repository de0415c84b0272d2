//! What the fields of a payload may hold. Each rule is broken in a payload that is otherwise sound and rightly signed.

use super::cbor::{text, text_of, with};
use super::*;
use crate::limits::*;

/// The field that a release is refused for, once signed by someone who does not check it first.
fn refused(change: impl FnOnce(&mut Release)) -> Option<&'static str> {
    let mut release = full();
    change(&mut release);
    let bytes = sealed(Kind::Release, &codec::encode(&release), &key(1));
    match (verify(&bytes), sign(release, &key(1), &network())) {
        (Ok(_), Ok(_)) => None,
        (Err(Error::Field { field, .. }), Err(Error::Field { field: same, .. })) if field == same => Some(field),
        other => panic!("{other:?}"),
    }
}

fn list_of(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

#[test]
fn rejects_content_that_is_larger_than_admitted() {
    let artifact = |size| refused(|release| release.artifact.size = size);
    assert_eq!((artifact(MAX_ARTIFACT_BYTES), artifact(MAX_ARTIFACT_BYTES + 1)), (None, Some("artifact")));
    assert_eq!((artifact(0), artifact(u64::MAX)), (None, Some("artifact")));
    let readme = |size| refused(|release| release.readme = Some(Content { size, ..release.artifact }));
    assert_eq!((readme(MAX_README_BYTES), readme(MAX_README_BYTES + 1)), (None, Some("readme")));
}

type Setter = fn(&mut Release, String);

/// Every text field with its bound, whether it may be empty, and how to set it.
const TEXTS: [(&str, usize, Setter); 7] = [
    ("title", MAX_TITLE_BYTES, |release, text| release.title = Some(text)),
    ("description", MAX_DESCRIPTION_BYTES, |release, text| release.description = text),
    ("categories", MAX_TAG_BYTES, |release, text| release.categories[0] = text),
    ("tags", MAX_TAG_BYTES, |release, text| release.tags[1] = text),
    ("authors", MAX_AUTHOR_BYTES, |release, text| release.authors[0] = text),
    ("license", MAX_LICENSE_BYTES, |release, text| release.license = Some(text)),
    // A requirement is at least a word.
    ("dependencies", MAX_REQUIREMENT_BYTES, |release, text| release.dependencies[0].requirement = text),
];

#[test]
fn rejects_text_that_is_empty_or_too_long() {
    for (field, max, set) in TEXTS {
        // Of ASCII, of two bytes a character, and for requirements what one may look like.
        for unit in ["a", "é"] {
            let fill = |bytes: usize| match field {
                "dependencies" => format!(">=1.0.0-{}", "a".repeat(bytes - 8)),
                _ => format!("{}{}", unit.repeat(bytes / unit.len()), "a".repeat(bytes % unit.len())),
            };
            assert_eq!(fill(max).len(), max);
            assert_eq!(refused(|release| set(release, fill(max))), None, "{field}");
            assert_eq!(refused(|release| set(release, fill(max + 1))), Some(field));
        }
        let empty = if field == "description" { None } else { Some(field) };
        assert_eq!(refused(|release| set(release, String::new())), empty, "{field}");
    }
}

#[test]
fn rejects_control_characters_and_those_that_reorder_text() {
    let bad = ('\0'..='\x1f')
        .chain('\x7f'..='\u{9f}')
        .chain(['\u{61c}', '\u{200e}', '\u{200f}'])
        .chain('\u{2028}'..='\u{202e}')
        .chain('\u{2066}'..='\u{206f}');
    for c in bad {
        for (field, _, set) in TEXTS {
            assert_eq!(refused(|release| set(release, format!("a{c}b"))), Some(field), "{c:?}");
        }
        assert_eq!(refused(|release| release.homepage = Some(format!("https://a{c}b"))), Some("homepage"), "{c:?}");
    }
    // Joiners stay: scripts of India and emoji need them.
    for c in ['\u{200c}', '\u{200d}', '\u{2010}', '\u{2027}', '\u{202f}', '\u{2065}', '\u{2070}', ' ', '~', '\u{a1}'] {
        assert_eq!(refused(|release| release.title = Some(format!("a{c}b"))), None, "{c:?}");
    }
}

#[test]
fn rejects_text_that_begins_or_ends_with_white_space() {
    for space in [' ', '\u{a0}', '\u{2003}', '\u{3000}'] {
        for (field, _, set) in TEXTS {
            for bad in [format!("{space}*"), format!("*{space}"), space.to_string()] {
                assert_eq!(refused(|release| set(release, bad.clone())), Some(field), "{bad:?}");
            }
        }
    }
}

#[test]
fn rejects_lists_that_are_too_long_or_name_something_twice() {
    let categories = |list| refused(|release| release.categories = list);
    assert_eq!(
        (categories(list_of(MAX_CATEGORIES)), categories(list_of(MAX_CATEGORIES + 1))),
        (None, Some("categories"))
    );
    let tags = |list| refused(|release| release.tags = list);
    assert_eq!((tags(list_of(MAX_TAGS)), tags(list_of(MAX_TAGS + 1))), (None, Some("tags")));
    let authors = |list| refused(|release| release.authors = list);
    assert_eq!((authors(list_of(MAX_AUTHORS)), authors(list_of(MAX_AUTHORS + 1))), (None, Some("authors")));
    let twice = || vec!["a".into(), "b".into(), "a".into()];
    assert_eq!(
        [categories(twice()), tags(twice()), authors(twice())],
        [Some("categories"), Some("tags"), Some("authors")]
    );
}

#[test]
fn rejects_urls_that_are_not_of_the_web() {
    type Setter = fn(&mut Release, String);
    let fields: [(&str, Setter); 3] = [
        ("homepage", |release, url| release.homepage = Some(url)),
        ("repository", |release, url| release.repository = Some(url)),
        ("documentation", |release, url| release.documentation = Some(url)),
    ];
    let longest = format!("https://{}", "a".repeat(MAX_URL_BYTES - 8));
    for (field, set) in fields {
        for bad in [
            "",
            "https://",
            "http://",
            "javascript:alert(1)",
            "JavaScript://example.org/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://example.org/",
            "//example.org/",
            "example.org",
            "https:example.org",
            "HTTPS://example.org/",
            " https://example.org/",
            "https://example.org/a b",
            "https://example.org/\u{3000}b",
            "https://example.org/\"onclick=x",
            "https://example.org/'",
            "https://example.org/<script>",
            "https://example.org/>",
            "https://example.org\\@evil.example/",
            "https://example.org/`",
            &format!("{longest}a"),
        ] {
            assert_eq!(refused(|release| set(release, bad.into())), Some(field), "{bad}");
        }
        for good in ["https://example.org/a?b=c#d", "http://e", "https://例え.jp/", &longest] {
            assert_eq!(refused(|release| set(release, good.into())), None, "{good}");
        }
    }
}

#[test]
fn rejects_dependencies_that_are_no_requirement_or_named_twice() {
    let asks = |requirement: &str| refused(|release| release.dependencies[0].requirement = requirement.into());
    for bad in ["latest", "1.2.3.4", "^", "1.0.0, ", ">=1.0.0 <2.0.0", "01.0", "1.0.0-01", "git://x"] {
        assert_eq!(asks(bad), Some("dependencies"), "{bad}");
    }
    for good in ["*", "1", "^1.2", "~1.2.3", ">=1.2.3, <2.0.0", "=1.0.0-rc.1"] {
        assert_eq!(asks(good), None, "{good}");
    }
    let all = |dependencies| refused(|release| release.dependencies = dependencies);
    let anonymous = |name: &str| Dependency { publisher: None, ..dependency(name, "*") };
    assert_eq!(all(vec![dependency("a", "1"), anonymous("a"), dependency("b", "1"), anonymous("b")]), None);
    assert_eq!(all(vec![dependency("a", "1"), anonymous("a"), dependency("a", "2")]), Some("dependencies"));
    assert_eq!(all(vec![anonymous("a"), dependency("b", "1"), anonymous("a")]), Some("dependencies"));
    let many = |count: usize| (0..count).map(|at| anonymous(&at.to_string())).collect();
    assert_eq!((all(many(MAX_DEPENDENCIES)), all(many(MAX_DEPENDENCIES + 1))), (None, Some("dependencies")));
}

#[test]
fn rejects_work_that_these_rules_do_not_know() {
    for work in [Work { level: 1, nonce: 0 }, Work { level: 0, nonce: 1 }] {
        let payload = codec::encode(&Inception { work, ..inception() });
        assert!(matches!(verify(&sealed(Kind::Inception, &payload, &key(1))), Err(Error::Field { field: "work", .. })));
    }
}

#[test]
fn rejects_a_commitment_to_the_present_key() {
    let payload = codec::encode(&Inception { next: KeyCommitment::to_key(&public(&key(1))), ..inception() });
    assert!(matches!(verify(&sealed(Kind::Inception, &payload, &key(1))), Err(Error::Field { field: "next", .. })));
}

#[test]
fn rejects_names_that_are_paths_or_not_utf_8() {
    let release = codec::encode(&minimal());
    let of_name = |name: &[u8]| code(&sealed(Kind::Release, &with(&release, "name", text_of(name)), &key(1)));
    assert_eq!(of_name(b"pack"), "accepted");
    for name in [
        &b""[..],
        b".",
        b"..",
        b"../pack",
        b"a/../b",
        b"a..b",
        b"/pack",
        b"a/b",
        b"a\\b",
        b".hidden",
        b"-rf",
        b"_x",
        b"C:",
        b"Pack",
        b"a b",
        b"a\0b",
        b"a\n",
        b"a%2fb",
        b"p\xc3\xa4ck",
        b"\xff\xfe",
        b"pack\x80",
        b"\xed\xa0\x80",
        b"\xc0\xae\xc0\xae",
        &[b'a'; MAX_NAME_BYTES + 1],
    ] {
        assert_eq!(of_name(name), "record/encoding", "{}", name.escape_ascii());
        let dependencies = cbor::list(&[with(&codec::encode(&dependency("x", "*")), "name", text_of(name))]);
        let changed = sealed(Kind::Release, &with(&release, "dependencies", dependencies), &key(1));
        assert_eq!(code(&changed), "record/encoding", "dependency {}", name.escape_ascii());
    }
    let inception = codec::encode(&inception());
    for handle in [&b""[..], b"-a", b"a-", b"A", b"a.b", b"a/b", b"..", b"a~b", b"\xff", &[b'a'; MAX_HANDLE_BYTES + 1]]
    {
        let changed = sealed(Kind::Inception, &with(&inception, "handle", text_of(handle)), &key(1));
        assert_eq!(code(&changed), "record/encoding", "{}", handle.escape_ascii());
    }
}

#[test]
fn rejects_text_fields_that_are_not_utf_8() {
    let release = codec::encode(&full());
    for field in ["title", "description", "license", "homepage", "version"] {
        for bad in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
            let changed = with(&release, field, text_of(bad));
            assert_eq!(code(&sealed(Kind::Release, &changed, &key(1))), "record/encoding", "{field}");
        }
    }
}

#[test]
fn rejects_versions_that_are_not_the_one_spelling_of_semver() {
    let release = codec::encode(&minimal());
    let longest = format!("1.0.0-{}", "a".repeat(MAX_VERSION_BYTES - 6));
    let of_version = |version: &str| code(&sealed(Kind::Release, &with(&release, "version", text(version)), &key(1)));
    for bad in [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "01.0.0",
        "1.00.0",
        "1.0.0-01",
        "1.0.0-",
        "1.0.0-a..b",
        "1.0.0+build",
        "1.0.0-rc.1+build",
        "1.0.0+",
        " 1.0.0",
        "1.0.0 ",
        "1.0.-1",
        "1.0.0-ä",
        "18446744073709551616.0.0",
        &format!("{longest}a"),
    ] {
        assert_eq!(of_version(bad), "record/encoding", "{bad}");
    }
    for good in ["0.0.0", "1.0.0-0", "1.0.0--", "18446744073709551615.0.0", &longest] {
        assert_eq!(of_version(good), "accepted", "{good}");
    }
}

#[test]
fn a_version_says_why_it_is_refused() {
    let error = |text: &str| text.parse::<Version>().unwrap_err();
    assert_eq!(error("1.0.0+b"), release::VersionError::BuildMetadata);
    assert_eq!(error("1.0"), release::VersionError::NotSemVer("1.0".into()));
    assert_eq!(error(&"1".repeat(MAX_VERSION_BYTES + 1)), release::VersionError::TooLong);
}

#[test]
fn versions_are_ordered_by_precedence_and_pre_releases_are_told() {
    let version = |text: &str| text.parse::<Version>().unwrap();
    let order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-2", "1.0.0", "1.2.0", "1.10.0"];
    let mut sorted: Vec<_> = order.iter().map(|text| version(text)).collect();
    sorted.sort();
    let sorted: Vec<_> = sorted.iter().map(ToString::to_string).collect();
    assert_eq!(sorted, ["1.0.0-2", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0", "1.2.0", "1.10.0"]);
    assert!(version("1.0.0-rc.1").is_pre_release() && !version("1.0.0").is_pre_release());
    assert_eq!(version("1.2.3").semver(), &semver::Version::new(1, 2, 3));
}

#[test]
fn content_has_one_text_form() {
    let id = ContentId::of_raw(b"artifact");
    let text = id.to_string();
    assert_eq!((text.parse(), text.len()), (Ok(id), 59));
    let of_node = ContentId::of_dag_pb(b"artifact");
    assert_eq!(of_node.to_string().parse(), Ok(of_node));
    assert!(id.is_raw() && !of_node.is_raw() && id != of_node);
    let base58 = cid::multibase::encode(cid::multibase::Base::Base58Btc, id.cid().to_bytes());
    let long = cid::multibase::encode(cid::multibase::Base::Base32Lower, [&id.cid().to_bytes()[..], &[0, 0]].concat());
    let padded = format!("b/ipfs/{base58}");
    let same_length = format!("{}{padded}", "b".repeat(59 - padded.len()));
    assert_eq!(cid::Cid::try_from(&*same_length).unwrap(), *id.cid(), "the library reads it");
    assert_eq!(same_length.len(), text.len());
    for bad in [
        "".into(),
        "b".into(),
        text.to_uppercase(),
        format!("b{}", &text[1..].to_uppercase()),
        format!("/ipfs/{text}"),
        padded,
        same_length,
        base58,
        long,
        format!("{text}="),
        text[..58].into(),
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPdLk".into(),
        cid::Cid::new_v1(0x71, *id.cid().hash()).to_string(),
        "b".repeat(65),
        "b".repeat(100_000),
    ] {
        assert_eq!(bad.parse::<ContentId>(), Err(release::UnsupportedCid), "{bad}");
    }
}

#[test]
fn content_is_what_its_hash_says() {
    for id in [ContentId::of_raw(b"block"), ContentId::of_dag_pb(b"block")] {
        assert!(id.matches(b"block"));
        assert!(!id.matches(b"blocc") && !id.matches(b"block\0") && !id.matches(b""));
    }
}
