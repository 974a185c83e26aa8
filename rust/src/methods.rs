//! Python's methods of strings, dicts and lists: those that minijinja-contrib lacks, and those whose
//! result can be far larger than what it pays for.

use crate::text::{is_container, join_with, text_value};
use crate::values::{pay_for_walks, Meter};
use minijinja::value::{from_args, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    // A text is read once or so, and arguments are compared or hashed.
    if value.as_str().is_some() {
        pay_for_walks(state, value, 1)?;
    }
    for argument in args {
        pay_for_walks(state, argument, 1)?;
    }
    let ours = match value.kind() {
        ValueKind::String => string_method(state, value.as_str().unwrap_or(""), method, args)?,
        ValueKind::Map if method == "copy" => {
            let () = from_args(args)?;
            Some(value.clone())
        }
        ValueKind::Seq => list_method(state, value, method, args)?,
        _ => None,
    };
    match ours {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn list_method(
    state: &State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    match method {
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        "count" | "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let mut meter = Meter::items(state);
            let mut count = 0;
            for (i, item) in value.try_iter()?.checked().enumerate() {
                let item = item?;
                meter.add(1)?;
                pay_for_walks(state, &item, 1)?;
                if item == *wanted {
                    if method == "index" {
                        return Ok(Some(Value::from(i)));
                    }
                    count += 1;
                }
            }
            if method == "index" {
                return Err(Error::new(ErrorKind::InvalidOperation, "value is not in list"));
            }
            Ok(Some(Value::from(count)))
        }
        _ => Ok(None),
    }
}

fn string_method(
    state: &State,
    s: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            Value::from(join_with(state, s, items, None)?)
        }
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            Value::from(replace(state, s, old, new, count)?)
        }
        "format" => Value::from(brace_format(state, s, args)?),
        "split" | "rsplit" => {
            let (separator, max): (Option<Value>, Option<i64>) = from_args(args)?;
            let max = max.filter(|x| *x >= 0).map(|x| x as usize);
            let separator = separator.filter(|x| !x.is_none());
            let separator = match &separator {
                None => None,
                Some(x) => match x.as_str() {
                    Some("") | None => {
                        return Err(refuse("split takes a separator that is not empty"))
                    }
                    found => found,
                },
            };
            Value::from(split(state, s, separator, max, method == "rsplit")?)
        }
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(args)?;
            Value::from(splitlines(state, s, keep.unwrap_or(false))?)
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(refuse("partition takes a separator that is not empty"));
            }
            let right = method == "rpartition";
            let found = if right { s.rsplit_once(separator) } else { s.split_once(separator) };
            let parts = match found {
                Some((a, b)) => [a, separator, b],
                None if right => ["", "", s],
                None => [s, "", ""],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(s.strip_prefix(prefix).unwrap_or(s))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(s.strip_suffix(suffix).unwrap_or(s))
        }
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let found = if method == "index" { s.find(what) } else { s.rfind(what) };
            match found {
                Some(at) => Value::from(s[..at].chars().count()),
                None => return Err(refuse("substring not found")),
            }
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(s.to_lowercase().replace('ß', "ss"))
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Value::from(s.chars().map(swap).collect::<String>())
        }
        "zfill" => {
            let (width,): (i64,) = from_args(args)?;
            let (sign, digits) = match s.chars().next() {
                Some('+' | '-') => s.split_at(1),
                _ => ("", s),
            };
            let missing = pad(state, s, width)?;
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (i64, Option<char>) = from_args(args)?;
            let missing = pad(state, s, width)?;
            let fill = fill.unwrap_or(' ').to_string();
            // CPython's center puts the odd one left when the width is odd.
            let left = match method {
                "ljust" => 0,
                "rjust" => missing,
                _ => missing / 2 + (missing & width as usize & 1),
            };
            Value::from(format!("{}{s}{}", fill.repeat(left), fill.repeat(missing - left)))
        }
        _ => return Ok(None),
    }))
}

fn refuse(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// How many characters `s` lacks of `width`, paid for before anything is allocated.
fn pad(state: &State, s: &str, width: i64) -> Result<usize, Error> {
    let width = usize::try_from(width.max(0)).unwrap_or(0);
    let missing = width.saturating_sub(s.chars().count());
    // Four bytes a character at most, 64 bytes a unit of fuel.
    state.consume_fuel(missing as u64 / 16)?;
    Ok(missing)
}

pub fn replace_filter(
    state: &State,
    s: &str,
    old: &str,
    new: &str,
    count: Option<i64>,
) -> Result<String, Error> {
    replace(state, s, old, new, count)
}

fn replace(
    state: &State,
    s: &str,
    old: &str,
    new: &str,
    count: Option<i64>,
) -> Result<String, Error> {
    let limit = count.filter(|x| *x >= 0).map_or(usize::MAX, |x| x as usize);
    let times = if old.is_empty() { s.chars().count() + 1 } else { s.matches(old).count() };
    let grown = times.min(limit).saturating_mul(new.len()).saturating_add(s.len());
    state.consume_fuel(grown as u64 / 64)?;
    Ok(if limit == usize::MAX { s.replace(old, new) } else { s.replacen(old, new, limit) })
}

fn split(
    state: &State,
    s: &str,
    separator: Option<&str>,
    max: Option<usize>,
    right: bool,
) -> Result<Vec<Value>, Error> {
    let parts = match separator {
        Some(separator) => s.matches(separator).count(),
        None => s.split_whitespace().count(),
    };
    Meter::items(state).add(parts.min(max.unwrap_or(usize::MAX)))?;
    let mut result: Vec<Value> = match (separator, max) {
        (Some(separator), None) => s.split(separator).map(Value::from).collect(),
        (Some(separator), Some(max)) if right => {
            s.rsplitn(max.saturating_add(1), separator).map(Value::from).collect()
        }
        (Some(separator), Some(max)) => {
            s.splitn(max.saturating_add(1), separator).map(Value::from).collect()
        }
        (None, None) => s.split_whitespace().map(Value::from).collect(),
        (None, Some(max)) => split_space(s, max, right),
    };
    if right && max.is_some() {
        result.reverse();
    }
    Ok(result)
}

/// At most `max` splits at runs of whitespace; the rest stays whole. From the right: last part first.
fn split_space(s: &str, max: usize, right: bool) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut rest = s.trim();
    while parts.len() < max && !rest.is_empty() {
        let cut =
            if right { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
        let Some(at) = cut else { break };
        if right {
            let next = at + rest[at..].chars().next().map_or(1, char::len_utf8);
            parts.push(Value::from(&rest[next..]));
            rest = rest[..at].trim_end();
        } else {
            parts.push(Value::from(&rest[..at]));
            rest = rest[at..].trim_start();
        }
    }
    if !rest.is_empty() {
        parts.push(Value::from(rest));
    }
    parts
}

fn splitlines(state: &State, s: &str, keep: bool) -> Result<Vec<Value>, Error> {
    let mut meter = Meter::items(state);
    let mut lines = Vec::new();
    let mut rest = s;
    while !rest.is_empty() {
        meter.add(1)?;
        let is_end = |c: char| {
            matches!(
                c,
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                    ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        };
        let Some(at) = rest.find(is_end) else {
            lines.push(Value::from(rest));
            break;
        };
        let mark = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(Value::from(if keep { &rest[..at + mark] } else { &rest[..at] }));
        rest = &rest[at + mark..];
    }
    Ok(lines)
}

/// Pays for what a format string could ask for: every width it names, and every field as long as
/// the longest argument.
fn pay_for_format(state: &State, format: &str, fields: usize, args: &[Value]) -> Result<(), Error> {
    let longest = args.iter().map(|x| x.as_str().map_or(40, str::len)).max().unwrap_or(0);
    let widths = format
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .fold(0u64, |sum, digits| sum.saturating_add(digits.parse().unwrap_or(u64::MAX)));
    let bytes = (fields as u64).saturating_mul(longest as u64).saturating_add(widths);
    state.consume_fuel(bytes.saturating_add(format.len() as u64) / 64)
}

fn printable_args(state: &State, args: &[Value]) -> Result<Vec<Value>, Error> {
    args.iter()
        .map(|x| {
            if is_container(x) && !x.is_kwargs() {
                text_value(state, x.clone())
            } else {
                Ok(x.clone())
            }
        })
        .collect()
}

fn brace_format(state: &State, format: &str, args: &[Value]) -> Result<String, Error> {
    use minijinja::formatting::{format as run, FormatStyle};
    let args = printable_args(state, args)?;
    pay_for_format(state, format, format.matches('{').count(), &args)?;
    run(FormatStyle::StrFormat, format, &args)
}

pub fn percent_format(state: &State, format: &str, args: Vec<Value>) -> Result<String, Error> {
    use minijinja::formatting::{format as run, FormatStyle};
    let args = printable_args(state, &args)?;
    pay_for_format(state, format, format.matches('%').count(), &args)?;
    run(FormatStyle::Printf, format, &args)
}
