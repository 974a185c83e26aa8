//! A value as Python prints it: str() outside, repr() inside containers. Every byte is paid for as
//! it is written, so that a small value that prints large runs out of fuel and not out of memory.

use crate::values::Meter;
use minijinja::value::{ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Python's float text: the shortest digits that read back, with an exponent below 1e-4 and from
/// 1e16 on.
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}"); // "1.5e-7": shortest digits, as Python's repr
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let mut text = format!("{value}");
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

pub fn is_container(value: &Value) -> bool {
    value.as_object().is_some()
}

/// str(value) as a string.
pub fn text(state: &State, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_string());
    }
    if as_float(value).is_none() && !is_container(value) {
        return Ok(value.to_string());
    }
    let mut out = String::new();
    write_repr(&mut Meter::bytes(state), &mut out, value, 0)?;
    Ok(out)
}

/// The value, unless it is one that the engine would print unlike Python, or without paying: that
/// one as text.
pub fn text_value(state: &State, value: Value) -> Result<Value, Error> {
    if as_float(&value).is_some() || is_container(&value) {
        return text(state, &value).map(Value::from);
    }
    Ok(value)
}

pub fn as_float(value: &Value) -> Option<f64> {
    if value.kind() == ValueKind::Number && !value.is_integer() {
        f64::try_from(value.clone()).ok()
    } else {
        None
    }
}

/// Deeper than any value can be (values.rs), so that nothing recurses without end.
const PRINT_DEPTH_MAX: usize = 10_000;

fn write_repr(
    meter: &mut Meter,
    out: &mut String,
    value: &Value,
    depth: usize,
) -> Result<(), Error> {
    let before = out.len();
    meter.add(1)?;
    if depth > PRINT_DEPTH_MAX {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deep to print"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => write_string_repr(out, value.as_str().unwrap_or("")),
        ValueKind::Seq | ValueKind::Iterable => {
            let is_tuple = value.is_tuple();
            out.push(if is_tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push_str(", ");
                }
                count += 1;
                write_repr(meter, out, &item?, depth + 1)?;
            }
            if is_tuple && count == 1 {
                out.push(',');
            }
            out.push(if is_tuple { ')' } else { ']' });
            return meter.add(2 * count);
        }
        ValueKind::Map => {
            let Some(object) = value.as_object() else { return Ok(()) };
            if object.repr() != ObjectRepr::Map || object.type_name().ends_with("::Macro") {
                out.push_str(&value.to_string());
                return meter.add(out.len() - before);
            }
            out.push('{');
            for (i, (key, item)) in object.try_iter_pairs().into_iter().flatten().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(meter, out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(meter, out, &item, depth + 1)?;
            }
            out.push('}');
            return Ok(());
        }
        _ => match as_float(value) {
            Some(float) => out.push_str(&float_text(float)),
            None => out.push_str(&value.to_string()),
        },
    }
    meter.add(out.len() - before)
}

fn write_string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if printable(c) => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push(quote);
}

/// str.isprintable(), but for the code points that no version of Unicode has given out yet.
fn printable(c: char) -> bool {
    !(c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(c as u32,
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x8e2 | 0x180e | 0x200b..=0x200f
            | 0x2028..=0x202f | 0x205f..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb
            | 0xfffe..=0xffff | 0x110bd | 0xe0000..=0xe007f | 0xf0000..=0x10ffff))
}

/// Joins and pays as it goes: the engine would charge only for the whole.
pub fn join_with(
    state: &State,
    between: &str,
    items: &Value,
    attribute: Option<&Value>,
) -> Result<String, Error> {
    let mut meter = Meter::bytes(state);
    let mut out = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        let mut item = item?;
        if let Some(name) = attribute {
            item = item.get_item(name)?;
        }
        let before = out.len();
        if i > 0 {
            meter.add(between.len() + 16)?;
            out.push_str(between);
        }
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&text(state, &item)?),
        }
        meter.add(out.len() - before)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-7, "1e-07"),
            (1e20, "1e+20"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0.0"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
