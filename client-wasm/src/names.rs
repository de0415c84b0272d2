//! A package as a program names it.

use ggen_shared::id::{FullName, ParseError, PublisherId};

/// Characters of a publisher id as text; a fingerprint has fewer.
const PUBLISHER_ID_CHARS: usize = 52;

/// `handle~fingerprint/name`, or with the publisher's whole id in the fingerprint's place: the DHT files packages under
/// it, so whoever knows it can look a package up that no connected relay holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meant {
    pub(crate) full_name: FullName,
    pub(crate) publisher: Option<PublisherId>,
}

impl std::str::FromStr for Meant {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some((publisher, name)) = text.split_once('/')
            && let Some((handle, id)) = publisher.split_once('~')
            && id.len() == PUBLISHER_ID_CHARS
        {
            let id: PublisherId = id.parse()?;
            let handle = if handle.is_empty() { None } else { Some(handle.parse()?) };
            let full_name = FullName { handle, fingerprint: id.fingerprint(), name: name.parse()? };
            return Ok(Self { full_name, publisher: Some(id) });
        }
        Ok(Self { full_name: text.parse()?, publisher: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_or_the_whole_id_means_the_same_package() {
        let id = PublisherId::from_bytes([7; 32]);
        let whole: Meant = format!("ann~{id}/serde").parse().expect("valid");
        let short: Meant = format!("ann~{}/serde", id.fingerprint()).parse().expect("valid");
        assert_eq!(whole.full_name, short.full_name);
        assert_eq!((whole.publisher, short.publisher), (Some(id), None));
    }

    #[test]
    fn refuses_what_is_no_name() {
        let id = PublisherId::from_bytes([7; 32]);
        for text in
            ["", "serde", "ann/serde", &format!("Ann~{id}/serde"), &format!("ann~{id}/"), &format!("ann~{id}x/serde")]
        {
            assert!(text.parse::<Meant>().is_err(), "{text}");
        }
    }
}
