//! What of an expression passes our filters: literals, the operands of `~` and of comparisons, and what
//! is looked up.

use super::tokens::{Kind, Token};
use super::{Scanner, RANK_COMPARED, RANK_CONCAT, RANK_INDEXED, RANK_LITERAL, RANK_OPEN};
use std::borrow::Cow;

/// A longer value before a subscript is not written twice.
const REPEATED_TOKENS_MAX: usize = 16;

const COMPARED: &str = ")|minerva_compared";
const SEARCHED: &str = ")|minerva_searched";

/// What stands between two operands.
#[derive(Clone, Copy, PartialEq)]
enum Between {
    Comparison,
    In,
    Other,
}

impl Scanner<'_> {
    /// Brackets from the inside out, then the concatenations between them.
    pub(super) fn expression(&mut self, tokens: &[Token]) {
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
}
