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

mod expressions;
mod tokens;

use std::borrow::Cow;
use tokens::{Kind, Token};

/// A template of 256 KB is ten times the longest one known.
const SOURCE_BYTES_MAX: usize = 256 << 10;

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

    fn insert(&mut self, at: usize, rank: u8, text: impl Into<Cow<'static, str>>) {
        self.insertions.push(Insertion { at, rank, text: text.into() });
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
    use super::tokens::{TAGS_MAX, TAG_TOKENS_MAX};
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
