//! Reads a template's source before the engine does, for three things that the engine has no hook
//! for:
//!
//! * limits on what its recursive parser is given, so that no source overflows the stack;
//! * `{% generation %}`, which Hugging Face adds to the language, becomes `{% with %}`;
//! * values pass our own filters where a program could make them huge or endless: list, tuple and
//!   dict literals (`minerva_bounded`), what is stored in a namespace (`minerva_kept`), the
//!   operands of `~` (`minerva_text`), and what is compared or looked up (`minerva_compared`,
//!   `minerva_searched`, `minerva_indexed`).
//!
//! It knows only as much of the language as that needs: what it does not understand is left as it
//! is, and the engine judges it.

use std::borrow::Cow;

/// A template of 256 KB is ten times the longest one known.
const SOURCE_BYTES_MAX: usize = 256 << 10;
/// One expression's operators nest in the parser: 10,000 fit an 8 MB stack, 30,000 do not.
const TAG_TOKENS_MAX: usize = 4096;
/// Statements can nest a value once each, and what nests 10,000 deep still prints on that stack.
const TAGS_MAX: usize = 8192;
/// A longer value before a subscript is not written twice.
const REPEATED_TOKENS_MAX: usize = 16;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Ident,
    Str,
    Number,
    Op,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Text put into the source at a place. At one place the inner construct closes first.
struct Insertion {
    at: usize,
    rank: u8,
    text: Cow<'static, str>,
}

const RANK_OPEN: u8 = 0;
const RANK_LITERAL: u8 = 1;
const RANK_INDEXED: u8 = 2;
const RANK_CONCAT: u8 = 3;
const RANK_COMPARED: u8 = 4;
const RANK_KEPT: u8 = 5;

const COMPARED: &str = ")|minerva_compared";
const SEARCHED: &str = ")|minerva_searched";

/// What stands between two operands.
#[derive(Clone, Copy, PartialEq)]
enum Between {
    Comparison,
    In,
    Other,
}

pub struct Prepared {
    pub source: String,
    /// Does the template ask for the time?
    pub uses_clock: bool,
}

pub fn prepare(source: &str) -> Result<Prepared, String> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(format!(
            "the template is {} bytes long; at most {SOURCE_BYTES_MAX} are accepted",
            source.len()
        ));
    }
    let mut scanner = Scanner {
        source,
        insertions: Vec::new(),
        replacements: Vec::new(),
        tags: 0,
        uses_clock: false,
    };
    scanner.scan()?;
    Ok(Prepared { uses_clock: scanner.uses_clock, source: scanner.apply() })
}

struct Scanner<'a> {
    source: &'a str,
    insertions: Vec<Insertion>,
    /// (start, end, new text).
    replacements: Vec<(usize, usize, String)>,
    tags: usize,
    uses_clock: bool,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), String> {
        let bytes = self.source.as_bytes();
        let mut at = 0;
        while let Some(found) = self.source[at..].find('{') {
            let start = at + found;
            match bytes.get(start + 1) {
                Some(b'#') => match self.source[start + 2..].find("#}") {
                    Some(end) => at = start + 2 + end + 2,
                    None => return Ok(()), // the engine says what is wrong
                },
                Some(b'%') => {
                    let (tokens, end) = self.tokens(start + 2, "%}")?;
                    at = match tokens.first() {
                        Some(t) if self.text(t) == "raw" => self.end_of_raw(end),
                        _ => {
                            self.block(&tokens);
                            end
                        }
                    };
                }
                Some(b'{') => {
                    let (tokens, end) = self.tokens(start + 2, "}}")?;
                    self.expression(&tokens);
                    at = end;
                }
                _ => at = start + 1,
            }
        }
        Ok(())
    }

    fn end_of_raw(&self, from: usize) -> usize {
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

    fn text(&self, token: &Token) -> &str {
        &self.source[token.start..token.end]
    }

    /// The tokens of one tag and where it ends. Ends of tags inside brackets or strings do not count.
    fn tokens(&mut self, from: usize, end_mark: &str) -> Result<(Vec<Token>, usize), String> {
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

    fn block(&mut self, tokens: &[Token]) {
        let Some(first) = tokens.first() else { return };
        match self.text(first) {
            "generation" if tokens.len() == 1 => {
                self.replacements.push((first.start, first.end, "with".into()))
            }
            "endgeneration" if tokens.len() == 1 => {
                self.replacements.push((first.start, first.end, "endwith".into()))
            }
            "set" => self.set(&tokens[1..]),
            "for" => {
                // The names before `in` are a pattern, not a tuple.
                let body = tokens.iter().position(|t| self.is(t, "in")).unwrap_or(0);
                self.expression(&tokens[body + 1..]);
            }
            "macro" | "call" => {
                // The first parentheses hold parameter names.
                let open = tokens.iter().position(|t| self.is(t, "(")).unwrap_or(0);
                self.expression(&tokens[open + 1..]);
            }
            _ => self.expression(&tokens[1..]),
        }
    }

    fn set(&mut self, tokens: &[Token]) {
        let Some(last) = tokens.last() else { return };
        let top = |mark: &str| {
            let mut depth = 0i32;
            tokens.iter().position(|t| {
                match self.text(t) {
                    "(" | "[" | "{" if t.kind == Kind::Op => depth += 1,
                    ")" | "]" | "}" if t.kind == Kind::Op => depth -= 1,
                    _ => {}
                }
                depth == 0 && self.is(t, mark)
            })
        };
        let assign = top("=");
        let target_end = assign.or_else(|| top("|")).unwrap_or(tokens.len());
        // Only an attribute outlives its scope, and only a namespace has attributes to set.
        let kept = tokens[..target_end].iter().any(|t| self.is(t, "."));
        match assign {
            Some(at) => {
                if kept {
                    self.insert(tokens[at].end, RANK_OPEN, "(");
                    self.insert(last.end, RANK_KEPT, ")|minerva_kept");
                }
                self.expression(&tokens[at + 1..]);
            }
            None if target_end < tokens.len() => {
                if kept {
                    self.insert(last.end, RANK_KEPT, "|minerva_kept");
                }
                self.expression(&tokens[target_end..]);
            }
            None => {}
        }
    }

    fn is(&self, token: &Token, text: &str) -> bool {
        token.kind != Kind::Str && self.text(token) == text
    }

    fn insert(&mut self, at: usize, rank: u8, text: impl Into<Cow<'static, str>>) {
        self.insertions.push(Insertion { at, rank, text: text.into() });
    }

    /// Brackets from the inside out, then the concatenations between them.
    fn expression(&mut self, tokens: &[Token]) {
        let mut open: Vec<usize> = Vec::new();
        // For every opening bracket the index of the one that closes it.
        let mut closing = vec![usize::MAX; tokens.len()];
        for (i, token) in tokens.iter().enumerate() {
            if token.kind != Kind::Op {
                continue;
            }
            match self.text(token) {
                "(" | "[" | "{" => open.push(i),
                ")" | "]" | "}" => {
                    if let Some(start) = open.pop() {
                        closing[start] = i;
                    }
                }
                _ => {}
            }
        }
        if !open.is_empty() {
            return; // unbalanced: the engine will say so
        }
        for i in 0..tokens.len() {
            if closing[i] != usize::MAX {
                self.literal(tokens, i, &closing);
                self.concatenations(tokens, i + 1, closing[i], &closing);
                self.comparisons(tokens, i + 1, closing[i], &closing);
                self.lookups(tokens, i, &closing);
            }
        }
        self.concatenations(tokens, 0, tokens.len(), &closing);
        self.comparisons(tokens, 0, tokens.len(), &closing);
    }

    fn literal(&mut self, tokens: &[Token], open: usize, closing: &[usize]) {
        let close = closing[open];
        if self.text(&tokens[open]) != "{" {
            if open > 0 && self.ends_a_value(&tokens[open - 1]) {
                return; // a subscript or a call
            }
            if self.text(&tokens[open]) == "(" && !self.has_comma(tokens, open, closing) {
                return;
            }
        }
        // Only a literal with names in it can hold anything large.
        let names = tokens[open..close].iter().any(|t| {
            t.kind == Kind::Ident
                && !matches!(self.text(t), "true" | "false" | "none" | "True" | "False" | "None")
        });
        if names {
            self.insert(tokens[open].start, RANK_OPEN, "(");
            self.insert(tokens[close].end, RANK_LITERAL, "|minerva_bounded)");
        }
    }

    fn has_comma(&self, tokens: &[Token], open: usize, closing: &[usize]) -> bool {
        let mut i = open + 1;
        while i < closing[open] {
            if self.is(&tokens[i], ",") {
                return true;
            }
            i = if closing[i] != usize::MAX { closing[i] + 1 } else { i + 1 };
        }
        false
    }

    fn ends_a_value(&self, token: &Token) -> bool {
        match token.kind {
            Kind::Str => true,
            Kind::Number => true,
            Kind::Ident => !self.is_operator_word(token),
            Kind::Op => matches!(self.text(token), ")" | "]" | "}"),
        }
    }

    fn is_operator_word(&self, token: &Token) -> bool {
        token.kind == Kind::Ident
            && matches!(
                self.text(token),
                "in" | "and" | "or" | "not" | "if" | "else" | "is" | "recursive"
            )
    }

    /// What ends an operand of `~`: everything that binds as loosely or more so.
    fn ends_operand(&self, tokens: &[Token], i: usize, start: usize) -> bool {
        let token = &tokens[i];
        match token.kind {
            Kind::Op => match self.text(token) {
                "~" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "," | ":" | "=" => true,
                // Binary only; a sign belongs to its operand.
                "+" | "-" => i > start && self.ends_a_value(&tokens[i - 1]),
                _ => false,
            },
            Kind::Ident => {
                self.is_operator_word(token) && !(i > start && self.is(&tokens[i - 1], "."))
            }
            _ => false,
        }
    }

    fn concatenations(&mut self, tokens: &[Token], start: usize, end: usize, closing: &[usize]) {
        let mut operand = start;
        let mut after_concat = false;
        let mut i = start;
        while i <= end {
            if i == end || self.ends_operand(tokens, i, start) {
                let concat = i < end && self.is(&tokens[i], "~");
                let plain = i == operand + 1 && tokens[operand].kind == Kind::Str;
                if (concat || after_concat) && i > operand && !plain {
                    self.insert(tokens[operand].start, RANK_OPEN, "(");
                    self.insert(tokens[i - 1].end, RANK_CONCAT, ")|minerva_text");
                }
                after_concat = concat;
                operand = i + 1;
            }
            i = if i < end && closing[i] != usize::MAX { closing[i] + 1 } else { i + 1 };
        }
    }

    /// What ends an operand of a comparison at token `i`, and how many tokens that has.
    fn ends_compared(&self, tokens: &[Token], i: usize, start: usize) -> Option<(Between, usize)> {
        let token = &tokens[i];
        let before = |n: usize| i.checked_sub(n).filter(|at| *at >= start).map(|at| &tokens[at]);
        let after = |n: usize, text: &str| before(n).is_some_and(|t| self.is(t, text));
        match token.kind {
            Kind::Op => match self.text(token) {
                "==" | "!=" | "<" | ">" | "<=" | ">=" => Some((Between::Comparison, 1)),
                // A bracket that closes nothing ends a macro's parameters.
                "," | ":" | "=" | ")" => Some((Between::Other, 1)),
                _ => None,
            },
            Kind::Ident if after(1, ".") => None,
            Kind::Ident => match self.text(token) {
                // `is in` is a test; its argument is paid for there.
                "in" if after(1, "is") || (after(1, "not") && after(2, "is")) => None,
                "in" => Some((Between::In, 1)),
                "not" if after(1, "is") => None,
                "not" => {
                    let is_in = tokens.get(i + 1).is_some_and(|t| self.is(t, "in"));
                    let behind_value = before(1).is_some_and(|t| self.ends_a_value(t));
                    Some(if is_in && behind_value { (Between::In, 2) } else { (Between::Other, 1) })
                }
                "and" | "or" | "if" | "else" | "recursive" => Some((Between::Other, 1)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Is it a literal that can hold nothing large?
    fn is_plain(&self, tokens: &[Token]) -> bool {
        match tokens {
            [] => true,
            [one] => match one.kind {
                Kind::Str | Kind::Number => true,
                _ => {
                    matches!(self.text(one), "true" | "false" | "none" | "True" | "False" | "None")
                }
            },
            [sign, number] => self.is(sign, "-") && number.kind == Kind::Number,
            _ => false,
        }
    }

    fn compared(&mut self, tokens: &[Token], filter: impl Into<Cow<'static, str>>) {
        if let (Some(first), Some(last)) = (tokens.first(), tokens.last()) {
            self.insert(first.start, RANK_OPEN, "(");
            self.insert(last.end, RANK_COMPARED, filter);
        }
    }

    /// The operands between `start` and `end`, and what stands behind each.
    fn operands(
        &self,
        tokens: &[Token],
        start: usize,
        end: usize,
        closing: &[usize],
    ) -> Vec<(usize, usize, Between)> {
        let mut found = Vec::new();
        let mut operand = start;
        let mut i = start;
        while i < end {
            if closing[i] != usize::MAX {
                i = closing[i] + 1;
                continue;
            }
            match self.ends_compared(tokens, i, start) {
                Some((between, length)) => {
                    found.push((operand, i, between));
                    i += length;
                    operand = i;
                }
                None => i += 1,
            }
        }
        found.push((operand, end.max(operand), Between::Other));
        found
    }

    /// Comparing walks through both values as far as the smaller one goes, and the engine charges for
    /// their own lengths only: the right one is paid for. Where one side is a literal there is
    /// nothing to walk.
    fn comparisons(&mut self, tokens: &[Token], start: usize, end: usize, closing: &[usize]) {
        let operands = self.operands(tokens, start, end, closing);
        let mut behind = Between::Other; // of the operand before, if it counts
        for (n, (from, to, between)) in operands.iter().enumerate() {
            let operand = &tokens[*from..*to];
            let next = operands.get(n + 1).map_or(&tokens[0..0], |x| &tokens[x.0..x.1]);
            let counts = !self.is_plain(operand) && !self.is_plain(next);
            let ahead = if counts { *between } else { Between::Other };
            // Searched for in a dict it is hashed.
            if behind == Between::Comparison || ahead == Between::In {
                self.compared(operand, COMPARED);
            } else if behind == Between::In {
                self.compared(operand, SEARCHED);
            }
            behind = ahead;
        }
    }

    /// Where the value begins that the bracket at `open` is a subscript of.
    fn start_of_value(&self, tokens: &[Token], open: usize, closing: &[usize]) -> Option<usize> {
        let mut at = open;
        loop {
            at = at.checked_sub(1)?;
            let is_group =
                matches!(self.text(&tokens[at]), ")" | "]" | "}") && tokens[at].kind == Kind::Op;
            if is_group {
                at = (0..at).rev().find(|o| closing[*o] == at)?;
                // A call or a subscript, of what is before it.
                if at > 0 && self.ends_a_value(&tokens[at - 1]) {
                    continue;
                }
                return Some(at);
            }
            let before = at.checked_sub(1).map(|i| self.text(&tokens[i]));
            match before {
                Some(".") => at -= 1,
                Some("|") | Some("is") => return None,
                _ => return (tokens[at].kind == Kind::Ident).then_some(at),
            }
        }
    }

    /// A key is hashed whole, and the place of a character in a text is counted from its start. What
    /// the subscript is of goes into the filter of the key, since a filter that hands out a list
    /// costs its length; but only if it may be computed twice.
    fn subscript(
        &mut self,
        tokens: &[Token],
        open: usize,
        inside: &[(usize, usize, Between)],
        closing: &[usize],
    ) {
        let Some((from, to, _)) = inside.iter().find(|x| x.0 < x.1) else {
            return; // [:]
        };
        let content = &tokens[open + 1..closing[open]];
        let part =
            if content.iter().any(|t| self.is(t, ":")) { &tokens[*from..*to] } else { content };
        if let ([Token { kind: Kind::Str, .. }], true) = (part, part.len() == content.len()) {
            return; // a name
        }
        match self.start_of_value(tokens, open, closing) {
            Some(start)
                if open - start <= REPEATED_TOKENS_MAX
                    && !tokens[start..open].iter().any(|t| self.is(t, "(")) =>
            {
                let value = &self.source[tokens[start].start..tokens[open - 1].end];
                self.compared(part, format!(")|minerva_at({value})"));
            }
            Some(start) => {
                self.insert(tokens[start].start, RANK_OPEN, "((");
                self.insert(tokens[open - 1].end, RANK_INDEXED, ")|minerva_indexed)");
                if !self.is_plain(part) {
                    self.compared(part, COMPARED);
                }
            }
            None if !self.is_plain(part) => self.compared(part, COMPARED),
            None => {}
        }
    }

    /// Where values are looked up: in subscripts, as keys of dicts, and by `loop.changed`.
    fn lookups(&mut self, tokens: &[Token], open: usize, closing: &[usize]) {
        let close = closing[open];
        let behind_value = open > 0 && self.ends_a_value(&tokens[open - 1]);
        let inside = self.operands(tokens, open + 1, close, closing);
        match self.text(&tokens[open]) {
            "[" if behind_value => self.subscript(tokens, open, &inside, closing),
            "{" => {
                for (from, to, _) in inside {
                    let is_key = to < close && self.is(&tokens[to], ":");
                    if is_key && !self.is_plain(&tokens[from..to]) {
                        self.compared(&tokens[from..to], COMPARED);
                    }
                }
            }
            "(" if open > 1
                && self.is(&tokens[open - 1], "changed")
                && self.is(&tokens[open - 2], ".") =>
            {
                let mut from = open + 1;
                for (_, to, _) in inside {
                    if to == close || self.is(&tokens[to], ",") {
                        if !self.is_plain(&tokens[from..to]) {
                            self.compared(&tokens[from..to], COMPARED);
                        }
                        from = to + 1;
                    }
                }
            }
            _ => {}
        }
    }

    fn apply(mut self) -> String {
        self.insertions.sort_by_key(|x| (x.at, x.rank));
        let mut edits: Vec<(usize, usize, &str)> =
            self.insertions.iter().map(|x| (x.at, x.at, x.text.as_ref())).collect();
        edits.extend(self.replacements.iter().map(|x| (x.0, x.1, x.2.as_str())));
        edits.sort_by_key(|x| x.0); // stable: insertions at one place keep their order
        let mut out = String::with_capacity(self.source.len() + edits.len() * 16);
        let mut at = 0;
        for (start, end, text) in edits {
            out.push_str(&self.source[at..start]);
            out.push_str(text);
            at = end;
        }
        out.push_str(&self.source[at..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(source: &str) -> String {
        prepare(source).unwrap_or_else(|e| panic!("{e}")).source
    }

    #[test]
    fn what_needs_no_change_has_none() {
        for source in [
            "plain { text } {# comment {{ a ~ b }} #}",
            "{% raw %}{{ a ~ b }}{% set ns.x = [y] %}{% endraw %}",
            "{% for (a, b) in pairs %}{{ a }}{% endfor %}{% set a, b = 1, 2 %}",
            "{{ 'a ~ b' + x['k'] + f(x, y) + ['a', 1, none]|join }}",
            "{% set x = y %}{% set ns.x %}text{% endset %}{{ (a or b).c - 1 }}",
            "{% macro f(a, b=1) %}{% endmacro %}{% call(x, y) f() %}{% endcall %}",
            "{{ {'a': {}} }} {{ 1.5.foo }} {{- 'x' -}} {%- if x is not none -%}",
        ] {
            assert_eq!(prepared(source), source);
        }
    }

    #[test]
    fn generation_is_with() {
        assert_eq!(
            prepared("{%- generation -%}x{% endgeneration %}"),
            "{%- with -%}x{% endwith %}"
        );
    }

    #[test]
    fn literals_stores_and_concatenations() {
        for (source, expected) in [
            ("{{ [x, [y]] }}", "{{ ([x, ([y]|minerva_bounded)]|minerva_bounded) }}"),
            ("{{ {'a': x}.a }}", "{{ ({'a': x}|minerva_bounded).a }}"),
            ("{{ f((x, 1)) }}", "{{ f(((x, 1)|minerva_bounded)) }}"),
            ("{%set ns.x=y%}", "{%set ns.x=(y)|minerva_kept%}"),
            ("{% set ns.a, b = x, y %}", "{% set ns.a, b =( x, y)|minerva_kept %}"),
            ("{% set ns.x | d(y, true) %}", "{% set ns.x | d(y, true)|minerva_kept %}"),
            ("{{ a ~ 'b' ~ c.d }}", "{{ (a)|minerva_text ~ 'b' ~ (c.d)|minerva_text }}"),
            ("{{ a + b ~ -c * 2 if d }}", "{{ a + (b)|minerva_text ~ (-c * 2)|minerva_text if d }}"),
            (
                "{% if x in a~b %}",
                "{% if (x)|minerva_compared in ((a)|minerva_text~(b)|minerva_text)|minerva_searched %}",
            ),
            ("{% set ns.x = [y]~z %}",
             "{% set ns.x =( (([y]|minerva_bounded))|minerva_text~(z)|minerva_text)|minerva_kept %}"),
        ] {
            assert_eq!(prepared(source), expected);
        }
    }

    #[test]
    fn comparisons_and_lookups() {
        for source in [
            "{% if a == 'b' and 'c' != d or e < -1 and f == none %}",
            "{% for x in y if not z %}{{ a is not in b }}{{ a.in + b.not }}{% endfor %}",
            "{{ a.b['x']['y'] + 'c'[-1] + f(x=g) }}",
        ] {
            assert_eq!(prepared(source), source);
        }
        for (source, expected) in [
            ("{{ a == b|length }}", "{{ a == (b|length)|minerva_compared }}"),
            (
                "{% if not a.b != c is none or d %}",
                "{% if not a.b != (c is none)|minerva_compared or d %}",
            ),
            (
                "{{ x if a not in b else y }}",
                "{{ x if (a)|minerva_compared not in (b)|minerva_searched else y }}",
            ),
            ("{{ 1 < a <= b }}", "{{ 1 < a <= (b)|minerva_compared }}"),
            ("{{ f(x=a > b) }}", "{{ f(x=a > (b)|minerva_compared) }}"),
            ("{{ a['x'][b - 1].c }}", "{{ a['x'][(b - 1)|minerva_at(a['x'])].c }}"),
            ("{{ x|f(a.b(c)[1:][0]) }}", {
                "{{ x|f(((((a.b(c))|minerva_indexed)[1:])|minerva_indexed)[0]) }}"
            }),
            ("{{ a[1:b] + c[:-1] }}", "{{ a[(1)|minerva_at(a):b] + c[:(-1)|minerva_at(c)] }}"),
            ("{{ not [a][0] }}", "{{ not ([a]|minerva_bounded)[(0)|minerva_at([a])] }}"),
            ("{{ 'a'[b == c] }}", "{{ 'a'[(b == (c)|minerva_compared)|minerva_compared] }}"),
            ("{{ {a: 1} }}", "{{ ({(a)|minerva_compared: 1}|minerva_bounded) }}"),
            ("{{ loop.changed(a, 1) }}", "{{ loop.changed((a)|minerva_compared, 1) }}"),
            ("{% macro f(a, b=c == d) %}", "{% macro f(a, b=c == (d)|minerva_compared) %}"),
        ] {
            assert_eq!(prepared(source), expected);
        }
    }

    /// Of any tokens: nothing is out of bounds, and what the engine renders it renders to the same
    /// text afterwards.
    #[test]
    fn any_tokens() {
        let words: Vec<&str> =
            "a b.c 'd' \"é\" 1 0 ( ) [ ] { } , : . | ~ = == != < <= in not is and or \
             if else + - * string length defined a[ b[ 'c' [0] [1:] not in"
                .split(' ')
                .filter(|x| !x.is_empty())
                .collect();
        let mut env = minijinja::Environment::new();
        crate::filters::install(&mut env);
        env.set_fuel(Some(1_000_000));
        let context =
            minijinja::context! { a => vec!["x", "é"], b => minijinja::context! { c => 1 } };
        let rendered = |source: &str| env.render_str(source, &context).ok();
        let mut state = 1u64;
        let mut next = move |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let (mut taken, mut changed, mut lost) = (0, 0, 0);
        for round in 0..60_000 {
            let count = 1 + next(if round % 2 == 0 { 7 } else { 12 });
            let tokens: Vec<&str> = (0..count).map(|_| words[next(words.len())]).collect();
            let source = format!("{{{{ {} }}}}", tokens.join(" "));
            let prepared = prepare(&source).unwrap_or_else(|e| panic!("{source}: {e}")).source;
            if let Some(text) = rendered(&source) {
                taken += 1;
                changed += usize::from(prepared != source);
                match rendered(&prepared) {
                    Some(after) => assert_eq!(text, after, "{source} became {prepared}"),
                    None => lost += 1,
                }
            }
        }
        assert!(taken > 1000 && changed > 100, "{taken} {changed}");
        // Where the engine takes a keyword for a name, which Python does not.
        assert!(lost * 100 < taken, "{lost} of {taken}");
    }

    #[test]
    fn limits() {
        let refuses = |source: String| prepare(&source).err().unwrap_or_default();
        assert!(refuses("x".repeat(SOURCE_BYTES_MAX + 1)).contains("bytes long"));
        assert!(refuses(format!("{{{{ {}1 }}}}", "not ".repeat(TAG_TOKENS_MAX))).contains("tokens"));
        assert!(refuses("{{a}}".repeat(TAGS_MAX + 1)).contains("tags"));
        assert!(refuses("{{ ''.__class__ }}".into()).contains("__class__"));
        assert!(refuses("{{ x['__globals__'] }}".into()).contains("__globals__"));
        assert!(prepare("{{ '__label__' }}").is_ok());
    }

    #[test]
    fn escapes() {
        assert_eq!(
            prepared("{{ '\\U0001f600\\\\U0001f600é\\' }}"),
            "{{ '\\ud83d\\ude00\\\\U0001f600é\\' }}"
        );
    }
}
