//! As much of Rust's grammar as the walls need: where code is, which paths it names, where functions end.

/// A path that the code names, `use` groups taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Its line, from 1.
    pub(crate) line: usize,
    /// Its segments; `*` for a glob.
    pub(crate) segments: Vec<String>,
}

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// The same text with comments, strings and characters turned to spaces; lines stay where they were.
pub(crate) fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        for &c in &chars[at..end.min(chars.len())] {
            out.push(if c == '\n' { '\n' } else { ' ' });
        }
        at = end;
    }
    out
}

/// The end of the comment, string or character that begins at `at`; `at` itself if none does.
fn literal_or_comment(chars: &[char], at: usize) -> usize {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let in_word = at > 0 && (get(at - 1).is_alphanumeric() || get(at - 1) == '_');
    match get(at) {
        '/' if get(at + 1) == '/' => (at..chars.len())
            .find(|&i| chars[i] == '\n')
            .unwrap_or(chars.len()),
        '/' if get(at + 1) == '*' => block_comment(chars, at),
        '"' => string(chars, at),
        '\'' => character(chars, at),
        'b' if !in_word && get(at + 1) == '"' => string(chars, at + 1),
        'b' if !in_word && get(at + 1) == '\'' => character(chars, at + 1),
        'r' | 'b' | 'c' if !in_word => raw_string(chars, at),
        _ => at,
    }
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn string(chars: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// A character literal; a lifetime is none, and stays.
fn character(chars: &[char], quote: usize) -> usize {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    if get(quote + 1) == '\\' {
        let from = quote + 3;
        return (from..chars.len())
            .find(|&i| chars[i] == '\'')
            .map_or(chars.len(), |i| i + 1);
    }
    if get(quote + 2) == '\'' {
        quote + 3
    } else {
        quote
    }
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`; a raw identifier is none, and stays.
fn raw_string(chars: &[char], at: usize) -> usize {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut i = at;
    if get(i) != 'r' {
        i += 1;
    }
    if get(i) != 'r' {
        return at;
    }
    let hashes = (i + 1..).take_while(|&i| get(i) == '#').count();
    if get(i + 1 + hashes) != '"' {
        return at;
    }
    let body = i + 2 + hashes;
    let closes = |i: &usize| get(*i) == '"' && (1..=hashes).all(|h| get(i + h) == '#');
    (body..chars.len())
        .find(closes)
        .map_or(chars.len(), |i| i + 1 + hashes)
}

/// Turns every item under `#[cfg(test)]` (or `all(test, …)`) to spaces. Takes what [`blank`] gives.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for mark in ["#[cfg(test)", "#[cfg(all(test,"] {
        while let Some(start) = out.find(mark) {
            let end = match out[start..].find(['{', ';']).map(|i| start + i) {
                Some(i) if out.as_bytes()[i] == b'{' => closing(&out, i),
                Some(i) => i + 1,
                None => out.len(),
            };
            let spaces: String = out[start..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' })
                .collect();
            out.replace_range(start..end, &spaces);
        }
    }
    out
}

/// The byte after the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + i + 1;
        }
    }
    code.len()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sep,
    Mark(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut out = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let mut word = String::from(c);
            while let Some(&next) = chars.peek() {
                if !(next.is_alphanumeric() || next == '_') {
                    break;
                }
                word.push(next);
                chars.next();
            }
            out.push((line, Token::Word(word)));
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            out.push((line, Token::Sep));
        } else if !c.is_whitespace() {
            out.push((line, Token::Mark(c)));
        }
    }
    out
}

/// Every path and single word the code names. Takes what [`blank`] gives.
pub(crate) fn paths(code: &str) -> Vec<Path> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].1 {
            Token::Word(_) => at = path(&tokens, at, &[], &mut out),
            _ => at += 1,
        }
    }
    out
}

/// Reads the path at `at` behind `prefix`; a group at its end gives one path an element. Returns what follows.
fn path(tokens: &[(usize, Token)], mut at: usize, prefix: &[String], out: &mut Vec<Path>) -> usize {
    let line = tokens[at].0;
    let mut segments = prefix.to_vec();
    let token = |i: usize| tokens.get(i).map(|(_, token)| token);
    loop {
        match token(at) {
            // `self` in a group is the group's own prefix.
            Some(Token::Word(word)) if word == "self" && !prefix.is_empty() => at += 1,
            Some(Token::Word(word)) => {
                segments.push(word.clone());
                at += 1;
            }
            Some(Token::Mark('*')) => {
                segments.push("*".to_owned());
                at += 1;
            }
            Some(Token::Mark('{')) => return group(tokens, at + 1, &segments, out),
            _ => break,
        }
        let goes_on = matches!(token(at + 1), Some(Token::Word(_) | Token::Mark('*' | '{')));
        if token(at) != Some(&Token::Sep) || !goes_on {
            break;
        }
        at += 1;
    }
    out.push(Path { line, segments });
    at
}

fn group(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    out: &mut Vec<Path>,
) -> usize {
    while at < tokens.len() {
        match tokens[at].1 {
            Token::Mark('}') => return at + 1,
            Token::Word(_) | Token::Mark('*') => at = path(tokens, at, prefix, out),
            _ => at += 1,
        }
    }
    at
}

/// Every function with a body. Takes what [`blank`] gives.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        let (line, Token::Word(word)) = &tokens[at] else {
            continue;
        };
        let Some((_, Token::Word(name))) = tokens.get(at + 1) else {
            continue;
        };
        if word != "fn" {
            continue;
        }
        let (mut depth, mut brackets) = (0, 0);
        for (end, token) in &tokens[at..] {
            match token {
                Token::Mark('[' | '(') => brackets += 1,
                Token::Mark(']' | ')') => brackets -= 1,
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                // A declaration without a body; the `;` of `[u8; 4]` is none.
                Token::Mark(';') if depth == 0 && brackets == 0 => break,
                _ => continue,
            }
            if depth == 0 && *token == Token::Mark('}') && brackets == 0 {
                out.push(Function {
                    name: name.clone(),
                    line: *line,
                    lines: end - line + 1,
                });
                break;
            }
        }
    }
    out
}
