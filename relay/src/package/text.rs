//! Text of manifests becomes the single lines that records hold.

/// A line: white space collapsed, what can't be printed left out. Says whether something was.
pub(super) fn line(text: &str) -> (String, bool) {
    let mut line = String::with_capacity(text.len());
    let mut dropped = false;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() {
            gap = !line.is_empty();
        } else if is_unprintable(c) {
            dropped = true;
        } else {
            if gap {
                line.push(' ');
                gap = false;
            }
            line.push(c);
        }
    }
    (line, dropped)
}

/// The beginning of a line that fits: up to the end of a sentence if one ends in the second half, or else up to the end
/// of a word, with an ellipsis.
pub(super) fn shortened(line: &str, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    if line.len() <= max_bytes {
        return line.into();
    }
    let fitting = &line[..line.floor_char_boundary(max_bytes)];
    let sentence = fitting
        .match_indices(". ")
        .chain(fitting.match_indices("! "))
        .chain(fitting.match_indices("? "))
        .map(|(at, _)| at + 1)
        .max()
        .filter(|&end| end >= max_bytes / 2);
    if let Some(end) = sentence {
        return line[..end].into();
    }
    let room = &line[..line.floor_char_boundary(max_bytes.saturating_sub(ELLIPSIS.len()))];
    let word_ends = line[room.len()..].starts_with(' ');
    let word = room.rfind(' ').filter(|&end| !word_ends && end >= max_bytes / 2).unwrap_or(room.len());
    format!("{}{ELLIPSIS}", room[..word].trim_end_matches([' ', ',', ';', ':']))
}

/// How many letters must be added, taken away or changed to make one word of another.
pub(super) fn distance(word: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in word.bytes().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in other.bytes().enumerate() {
            let changed = above_left + usize::from(letter != other);
            above_left = row[column + 1];
            row[column + 1] = changed.min(above_left + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Whether a page may make a link of it. The same rule as the record's, which has the last word.
pub(super) fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && !url.chars().any(|c| c.is_whitespace() || is_unprintable(c) || "\"'<>\\`".contains(c))
}

/// Control characters, and those that change the direction of the text around them. The same rule as the record's, which
/// has the last word.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_one_line_of_many() {
        assert_eq!(line("  a\n\tb\r\n\u{2028}c  "), ("a b c".into(), false));
        assert_eq!(line("\n \n"), (String::new(), false));
    }

    #[test]
    fn leaves_out_what_cannot_be_printed_or_turns_text_around() {
        assert_eq!(line("\u{1b}[31mred\u{202e}der \u{7}"), ("[31mredder".into(), true));
    }

    #[test]
    fn cuts_at_the_end_of_a_sentence_or_else_of_a_word() {
        let text = "One sentence stands here. Another follows it, and is too long.";
        assert_eq!(shortened(text, 30), "One sentence stands here.");
        assert_eq!(shortened(text, 24), "One sentence stands…");
        assert_eq!(shortened(text, 100), text);
        assert_eq!(shortened("No. This one ends too early to be cut there", 30), "No. This one ends too early…");
    }

    #[test]
    fn never_cuts_inside_a_character_and_always_fits() {
        let text = "äöü€漢字".repeat(40);
        for max in 3..80 {
            assert!(shortened(&text, max).len() <= max);
        }
    }

    #[test]
    fn counts_the_letters_between_two_words() {
        for (word, other, expected) in
            [("licence", "license", 1), ("keyword", "keywords", 1), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(word, other), expected, "{word} {other}");
        }
    }

    #[test]
    fn knows_a_url_that_may_become_a_link() {
        assert!(is_url("https://example.org/a?b#c"));
        for text in
            ["javascript:alert(1)", "https://", "ftp://a", "git@github.com:a/b", "https://a b", "http://a\"b", "a/b"]
        {
            assert!(!is_url(text), "{text}");
        }
    }
}
