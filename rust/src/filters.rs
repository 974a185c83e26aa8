//! Filters, tests and functions that differ from the engine's own: to print as Python does, and to
//! pay for what they print.

use crate::json::tojson;
use crate::text::{is_container, join_with, text, text_value};
use crate::values::{at, bounded, compared, indexed, kept, namespace, pay_for_walks, searched};
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{filters, tests, Environment, Error, ErrorKind, State, Value};
use std::fmt;

/// What raise_exception() raised: the template's own words, which the client is to read.
#[derive(Debug)]
pub struct Raised(pub String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Raised {}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

/// The engine's own filter, given a container only as text that was paid for.
fn add_text_filter(env: &mut Environment<'static>, name: &'static str, builtin: Value) {
    env.add_filter(
        name,
        move |state: &mut State, first: Value, rest: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let mut args = vec![text_value(state, first)?];
            for value in rest.into_values() {
                // Keywords are an object too, and stay what they are.
                let plain = value.is_kwargs() || !is_container(&value);
                args.push(if plain { value } else { text_value(state, value)? });
            }
            builtin.call(state, &args)
        },
    );
}

/// The engine's own filter that orders its items: each is compared with some others.
fn add_ordering_filter(env: &mut Environment<'static>, name: &'static str, builtin: Value) {
    env.add_filter(
        name,
        move |state: &mut State, first: Value, rest: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let comparisons = 2 * u64::from(usize::BITS - first.len().unwrap_or(1).leading_zeros());
            pay_for_walks(state, &first, comparisons.max(2))?;
            let mut args = vec![first];
            args.extend(rest.into_values());
            builtin.call(state, &args)
        },
    );
}

/// A test that compares two values.
fn add_comparing_test(
    env: &mut Environment<'static>,
    names: &[&'static str],
    compare: fn(&Value, &Value) -> bool,
) {
    for name in names {
        env.add_test(*name, move |state: &State, a: &Value, b: &Value| -> Result<bool, Error> {
            pay_for_walks(state, a, 1)?;
            pay_for_walks(state, b, 1)?;
            Ok(compare(a, b))
        });
    }
}

fn is_in(state: &State, value: &Value, container: &Value) -> Result<bool, Error> {
    pay_for_walks(state, value, 1)?;
    searched(state, container.clone())?;
    tests::is_in(state, value, container)
}

fn attr(state: &State, value: &Value, key: &Value) -> Result<Value, Error> {
    pay_for_walks(state, key, 1)?;
    filters::attr(value, key)
}

fn join(state: &State, items: Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = rest.into_values();
    let (between, attribute, kwargs): (Option<Value>, Option<Value>, Kwargs) =
        minijinja::value::from_args(&args)?;
    let option = |value: Option<Value>, name: &str| -> Result<Option<Value>, Error> {
        Ok(match value {
            None if kwargs.has(name) => Some(kwargs.get::<Value>(name)?),
            value => value,
        })
    };
    let between = option(between, "d")?;
    let attribute = option(attribute, "attribute")?.filter(|x| !x.is_none());
    kwargs.assert_all_used()?;
    let between = between.map_or(String::new(), |x| x.to_string());
    join_with(state, &between, &items, attribute.as_ref())
}

/// Python asks for __iter__, which None has not and Undefined has.
fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String | ValueKind::Undefined => true,
        ValueKind::None => false,
        _ => value.try_iter().is_ok(),
    }
}

/// Python asks for len() and [].
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::String | ValueKind::Undefined | ValueKind::Seq | ValueKind::Map
    )
}

fn is_callable(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        object.repr() == minijinja::value::ObjectRepr::Plain
            || object.type_name().ends_with("::Macro")
    })
}

fn starts(text: &Value, start: &Value) -> bool {
    matches!((text.as_str(), start.as_str()), (Some(text), Some(start)) if text.starts_with(start))
}

fn ends(text: &Value, end: &Value) -> bool {
    matches!((text.as_str(), end.as_str()), (Some(text), Some(end)) if text.ends_with(end))
}

/// A test of one text.
fn add_text_test(env: &mut Environment<'static>, name: &'static str, holds: fn(&str) -> bool) {
    env.add_test(name, move |state: &State, value: &Value| -> Result<bool, Error> {
        pay_for_walks(state, value, 1)?;
        Ok(value.as_str().is_some_and(holds))
    });
}

/// As str.islower() and str.isupper() count: letters without case do not.
fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)
}

fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}

pub fn install(env: &mut Environment<'static>) {
    let text_filters: [(&'static str, Value); 9] = [
        ("upper", Value::from_function(filters::upper)),
        ("lower", Value::from_function(filters::lower)),
        ("title", Value::from_function(filters::title)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("trim", Value::from_function(filters::trim)),
        ("replace", Value::from_function(crate::methods::replace_filter)),
        ("indent", Value::from_function(filters::indent)),
        ("escape", Value::from_function(filters::escape)),
        ("e", Value::from_function(filters::escape)),
    ];
    for (name, builtin) in text_filters {
        add_text_filter(env, name, builtin);
    }
    env.add_filter("format", |state: &State, format: &str, args: Rest<Value>| {
        crate::methods::percent_format(state, format, args.0)
    });
    env.add_filter("string", |state: &State, value: Value| text(state, &value));
    env.add_filter("pprint", |state: &State, value: Value| text(state, &value));
    env.add_filter("join", join);
    env.add_filter("tojson", tojson);
    env.add_filter("minerva_bounded", |state: &State, value: Value| bounded(state, value));
    env.add_filter("minerva_kept", |state: &State, value: Value| kept(state, value));
    env.add_filter("minerva_text", |state: &State, value: Value| text_value(state, value));
    env.add_filter("minerva_compared", |state: &State, value: Value| compared(state, value));
    env.add_filter("minerva_searched", |state: &State, value: Value| searched(state, value));
    env.add_filter("minerva_at", |state: &State, key: Value, value: &Value| at(state, key, value));
    env.add_filter("minerva_indexed", |state: &State, value: Value| indexed(state, value));
    env.add_filter("attr", attr);
    for (name, builtin) in [
        ("sort", Value::from_function(filters::sort)),
        ("unique", Value::from_function(filters::unique)),
        ("min", Value::from_function(filters::min)),
        ("max", Value::from_function(filters::max)),
        ("groupby", Value::from_function(filters::groupby)),
        ("dictsort", Value::from_function(filters::dictsort)),
    ] {
        add_ordering_filter(env, name, builtin);
    }
    // Not in jinja2, and both nest values without end.
    env.remove_filter("chain");
    env.remove_filter("zip");

    env.add_test("iterable", is_iterable);
    env.add_test("sequence", is_sequence);
    env.add_test("callable", is_callable);
    add_comparing_test(env, &["eq", "equalto", "=="], tests::is_eq);
    add_comparing_test(env, &["ne", "!="], tests::is_ne);
    add_comparing_test(env, &["lt", "lessthan", "<"], tests::is_lt);
    add_comparing_test(env, &["le", "<="], tests::is_le);
    add_comparing_test(env, &["gt", "greaterthan", ">"], tests::is_gt);
    add_comparing_test(env, &["ge", ">="], tests::is_ge);
    add_comparing_test(env, &["sameas"], tests::is_sameas);
    add_text_test(env, "lower", is_lower);
    add_text_test(env, "upper", is_upper);
    env.add_test("in", is_in);
    add_comparing_test(env, &["startingwith"], starts);
    add_comparing_test(env, &["endingwith"], ends);

    env.add_function("raise_exception", raise_exception);
    env.add_function("namespace", namespace);
    env.remove_global("debug");

    env.set_formatter(|out, state, value| {
        if let Some(text) = value.as_str() {
            return out.write_str(text).map_err(Error::from);
        }
        let text = text(state, value)?;
        out.write_str(&text).map_err(Error::from)
    });
}
