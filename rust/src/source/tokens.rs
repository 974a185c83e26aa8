//! From a tag of a template to its tokens, with limits, and what no template may name.

use super::Scanner;

/// One expression's operators nest in the parser: 10,000 fit an 8 MB stack, 30,000 do not.
pub(super) const TAG_TOKENS_MAX: usize = 4096;
/// Statements can nest a value once each, and what nests 10,000 deep still prints on that stack.
pub(super) const TAGS_MAX: usize = 8192;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    Ident,
    Str,
    Number,
    Op,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Scanner<'_> {
    pub(super) fn end_of_raw(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(found) = self.source[at..].find("{%") {
            let inside = at + found + 2;
            let rest = self.source[inside..].trim_start_matches(['-', '+']).trim_start();
            if rest.starts_with("endraw") {
                return inside;
            }
            at = inside;
        }
        self.source.len()
    }

    pub(super) fn text(&self, token: &Token) -> &str {
        &self.source[token.start..token.end]
    }

    pub(super) fn is(&self, token: &Token, text: &str) -> bool {
        token.kind != Kind::Str && self.text(token) == text
    }

    /// The tokens of one tag and where it ends. Ends of tags inside brackets or strings do not count.
    pub(super) fn tokens(
        &mut self,
        from: usize,
        end_mark: &str,
    ) -> Result<(Vec<Token>, usize), String> {
        self.tags += 1;
        if self.tags > TAGS_MAX {
            return Err(format!("the template has more than {TAGS_MAX} tags"));
        }
        let bytes = self.source.as_bytes();
        let mut tokens: Vec<Token> = Vec::new();
        let mut depth = 0usize;
        let mut at = from;
        if matches!(bytes.get(at), Some(b'-' | b'+')) {
            at += 1; // whitespace control belongs to the tag
        }
        while at < bytes.len() {
            let byte = bytes[at];
            if byte.is_ascii_whitespace() {
                at += 1;
                continue;
            }
            if depth == 0 {
                let rest = &self.source[at..];
                if rest.starts_with(end_mark) {
                    return Ok((tokens, at + 2));
                }
                if matches!(byte, b'-' | b'+') && rest[1..].starts_with(end_mark) {
                    return Ok((tokens, at + 3));
                }
            }
            let start = at;
            let kind = match byte {
                b'"' | b'\'' => {
                    at += 1;
                    while at < bytes.len() && bytes[at] != byte {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at = (at + 1).min(bytes.len());
                    while !self.source.is_char_boundary(at) {
                        at += 1; // a backslash before a character of several bytes, unfinished
                    }
                    Kind::Str
                }
                b'0'..=b'9' => {
                    while at < bytes.len()
                        && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_')
                    {
                        at += 1;
                    }
                    // A point is part of the number only with a digit after it: 1.5, not 1.foo.
                    if at + 1 < bytes.len() && bytes[at] == b'.' && bytes[at + 1].is_ascii_digit() {
                        at += 1;
                        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
                            at += 1;
                        }
                    }
                    Kind::Number
                }
                b if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 => {
                    while at < bytes.len()
                        && (bytes[at].is_ascii_alphanumeric()
                            || bytes[at] == b'_'
                            || bytes[at] >= 0x80)
                    {
                        at += 1;
                    }
                    Kind::Ident
                }
                _ => {
                    let two = self.source.get(at..at + 2).unwrap_or("");
                    at +=
                        if matches!(two, "==" | "!=" | "<=" | ">=" | "//" | "**") { 2 } else { 1 };
                    match byte {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    Kind::Op
                }
            };
            let token = Token { kind, start, end: at };
            if kind == Kind::Str {
                self.long_escapes(&token);
            }
            tokens.push(token);
            if tokens.len() > TAG_TOKENS_MAX {
                return Err(format!(
                    "a tag at byte {from} of the template has more than {TAG_TOKENS_MAX} tokens"
                ));
            }
            self.check(&tokens)?;
        }
        Ok((tokens, bytes.len()))
    }

    /// Python's way out of a sandbox begins with a dunder name. There is no Python here, and a
    /// template that looks for one was made to attack: it is refused whole.
    fn check(&mut self, tokens: &[Token]) -> Result<(), String> {
        let last = tokens[tokens.len() - 1];
        let text = self.text(&last);
        if last.kind == Kind::Ident && text == "strftime_now" {
            self.uses_clock = true;
            return Ok(());
        }
        let name = match last.kind {
            Kind::Ident => text,
            Kind::Str if self.names_attribute(tokens) => text.trim_matches(['"', '\'']),
            _ => return Ok(()),
        };
        if name.len() > 4 && name.starts_with("__") && name.ends_with("__") {
            return Err(format!("the template uses {name}, which no chat template needs"));
        }
        Ok(())
    }

    /// Is the last token in a subscript or in attr()?
    fn names_attribute(&self, tokens: &[Token]) -> bool {
        let before = |n: usize| tokens.len().checked_sub(n).map(|i| self.text(&tokens[i]));
        before(2) == Some("[") || (before(2) == Some("(") && before(3) == Some("attr"))
    }

    /// The engine knows \u0000 and not \U00000000.
    fn long_escapes(&mut self, token: &Token) {
        let text = &self.source[token.start..token.end];
        let mut at = 0;
        while let Some(found) = text[at..].find('\\') {
            let escape = at + found;
            at = escape + 2; // what follows the backslash is never the start of another
            let digits = text.get(escape + 2..escape + 10);
            if text.as_bytes().get(escape + 1) == Some(&b'U') {
                let code = digits.and_then(|x| u32::from_str_radix(x, 16).ok());
                if let Some(c) = code.and_then(char::from_u32) {
                    let (start, end) = (token.start + escape, token.start + escape + 10);
                    let mut units = [0u16; 2];
                    let units = c.encode_utf16(&mut units).iter();
                    let text = units.map(|unit| format!("\\u{unit:04x}")).collect();
                    self.replacements.push((start, end, text));
                }
            }
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at += 1;
            }
        }
    }
}
