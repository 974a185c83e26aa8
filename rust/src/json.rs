//! `tojson` as Hugging Face defines it: json.dumps with ensure_ascii=False unless asked, no HTML
//! escapes, Python's separators and float text. Paid for byte by byte.

use crate::text::{as_float, float_text};
use crate::values::Meter;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, State, Value};

struct Style {
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

pub fn tojson(state: &State, value: Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = rest.into_values();
    let (ensure_ascii, indent, separators, sort_keys, kwargs): (
        Option<Value>,
        Option<Value>,
        Option<Value>,
        Option<Value>,
        Kwargs,
    ) = minijinja::value::from_args(&args)?;
    let pick = |positional: Option<Value>, name: &str| -> Result<Option<Value>, Error> {
        let value = match positional {
            Some(value) => Some(value),
            None if kwargs.has(name) => Some(kwargs.get::<Value>(name)?),
            None => None,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    };
    let ensure_ascii = pick(ensure_ascii, "ensure_ascii")?.is_some_and(|v| v.is_true());
    let indent = pick(indent, "indent")?.map(|v| match v.as_str() {
        Some(text) => text.to_string(),
        None => " ".repeat(v.as_i64().unwrap_or(0).clamp(0, 64) as usize),
    });
    let (item, key) = match pick(separators, "separators")? {
        Some(pair) => {
            let parts: Vec<Value> = pair.try_iter()?.collect();
            match parts.as_slice() {
                [item, key] => (item.to_string(), key.to_string()),
                _ => return Err(refuse("separators takes two strings")),
            }
        }
        None if indent.is_some() => (",".to_string(), ": ".to_string()),
        None => (", ".to_string(), ": ".to_string()),
    };
    let sort_keys = pick(sort_keys, "sort_keys")?.is_some_and(|v| v.is_true());
    kwargs.assert_all_used()?;
    let style = Style { ensure_ascii, indent, item, key, sort_keys };
    let mut out = String::new();
    write(&mut Meter::bytes(state), &mut out, &value, &style, 0)?;
    Ok(out)
}

fn refuse(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

const DEPTH_MAX: usize = 1000;

fn write(
    meter: &mut Meter,
    out: &mut String,
    value: &Value,
    style: &Style,
    depth: usize,
) -> Result<(), Error> {
    // Serializing costs more than copying: 16 bytes' worth a value, as the engine charges it.
    meter.add(16)?;
    if depth > DEPTH_MAX {
        return Err(refuse("a value is nested too deep for JSON"));
    }
    let before = out.len();
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => string(out, value.as_str().unwrap_or(""), style),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = value.try_iter()?.checked().peekable();
            if items.peek().is_none() {
                out.push_str("[]");
                return meter.add(2);
            }
            out.push('[');
            for (i, item) in items.enumerate() {
                separate(meter, out, style, depth + 1, i)?;
                write(meter, out, &item?, style, depth + 1)?;
            }
            newline(meter, out, style, depth)?;
            out.push(']');
            return Ok(());
        }
        ValueKind::Map => return map(meter, out, value, style, depth),
        ValueKind::Undefined => return Err(refuse("an undefined value is not JSON serializable")),
        kind => return Err(refuse(format!("a {kind} is not JSON serializable"))),
    }
    meter.add(out.len() - before)
}

fn map(
    meter: &mut Meter,
    out: &mut String,
    value: &Value,
    style: &Style,
    depth: usize,
) -> Result<(), Error> {
    let Some(object) = value.as_object() else { return Ok(()) };
    let name = object.type_name();
    if ["::Namespace", "::Macro", "::Loop"].iter().any(|end| name.ends_with(end)) {
        return Err(refuse("this object is not JSON serializable"));
    }
    let mut pairs = Vec::new();
    for (key, item) in object.try_iter_pairs().into_iter().flatten() {
        meter.add(16)?;
        let key = match key.kind() {
            ValueKind::String => key.to_string(),
            ValueKind::Number => number(&key),
            ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).to_string(),
            ValueKind::None => "null".to_string(),
            kind => return Err(refuse(format!("JSON keys must be strings, not {kind}"))),
        };
        pairs.push((key, item));
    }
    if pairs.is_empty() {
        out.push_str("{}");
        return meter.add(2);
    }
    if style.sort_keys {
        // Bytes of UTF-8 sort as code points do, which is Python's order.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
    }
    out.push('{');
    for (i, (key, item)) in pairs.iter().enumerate() {
        separate(meter, out, style, depth + 1, i)?;
        let before = out.len();
        string(out, key, style);
        out.push_str(&style.key);
        meter.add(out.len() - before)?;
        write(meter, out, item, style, depth + 1)?;
    }
    newline(meter, out, style, depth)?;
    out.push('}');
    Ok(())
}

fn separate(
    meter: &mut Meter,
    out: &mut String,
    style: &Style,
    depth: usize,
    index: usize,
) -> Result<(), Error> {
    if index > 0 {
        out.push_str(&style.item);
        meter.add(style.item.len())?;
    }
    newline(meter, out, style, depth)
}

fn newline(meter: &mut Meter, out: &mut String, style: &Style, depth: usize) -> Result<(), Error> {
    if let Some(indent) = &style.indent {
        meter.add(1 + indent.len() * depth)?;
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
    Ok(())
}

fn number(value: &Value) -> String {
    match as_float(value) {
        None => value.to_string(),
        Some(x) if x.is_nan() => "NaN".into(),
        Some(x) if x.is_infinite() => (if x > 0.0 { "Infinity" } else { "-Infinity" }).into(),
        Some(x) => float_text(x),
    }
}

fn string(out: &mut String, text: &str, style: &Style) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if style.ensure_ascii && (c as u32) > 0x7e => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
