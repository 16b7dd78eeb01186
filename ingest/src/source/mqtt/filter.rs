//! What a subscriber asks for, and which topics that is.

/// Whether some topic is matched by both filters; a topic without wildcards is a filter that matches itself.
/// `+` stands for one level, `#` for all that follow and for the level before it. Neither reaches the topics that begin with `$`.
pub(super) fn meet(one: &str, other: &str) -> bool {
    if one.starts_with('$') != other.starts_with('$') {
        return false;
    }
    let (mut levels, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (levels.next(), others.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(level), Some(another)) if level == "+" || another == "+" || level == another => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, expected: bool) {
        assert_eq!((meet(one, other), meet(other, one)), (expected, expected), "{one} and {other}");
    }

    #[test]
    fn a_filter_matches_what_the_standard_says() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
        ] {
            check(filter, topic, expected);
        }
    }

    #[test]
    fn two_filters_meet_where_one_topic_matches_both() {
        check("a/+/c", "a/b/+", true);
        check("a/+/c", "a/b/d", false);
        check("a/#", "+/b", true);
        check("a/#", "b/#", false);
        check("a/+", "a/#", true);
        check("a", "a/+", false);
    }
}
