//! What a template may build. Its programs are not trusted: a value that contains itself, or that
//! doubles with every line, would take the engine's recursive printing and comparing with it, past
//! all fuel. So every literal and everything stored in a namespace is walked once, and the walk is
//! paid for item by item.

use minijinja::value::{DynObject, Enumerator, Kwargs, Object, ObjectRepr, Tuple};
use minijinja::{Error, ErrorKind, State, Value};
use std::fmt;
use std::sync::{Arc, Mutex};

/// JSON comes in at most 64 deep (src/chat/render.h); templates wrap it a few times.
const DEPTH_MAX: usize = 100;
/// Half a unit of fuel a visited item, as the engine charges its own filters.
const ITEMS_PER_FUEL: u64 = 2;

/// Counts work, `times` as much as is added, and charges it in whole units of fuel.
pub struct Meter<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    per_fuel: u64,
    count: u64,
    times: u64,
}

impl<'a, 'b, 'c> Meter<'a, 'b, 'c> {
    pub fn items(state: &'a State<'b, 'c>) -> Self {
        Meter { state, per_fuel: ITEMS_PER_FUEL, count: 0, times: 1 }
    }

    pub fn bytes(state: &'a State<'b, 'c>) -> Self {
        Meter { state, per_fuel: 64, count: 0, times: 1 }
    }

    pub fn add(&mut self, n: usize) -> Result<(), Error> {
        self.count = self.count.saturating_add((n as u64).saturating_mul(self.times));
        let fuel = self.count / self.per_fuel;
        self.count %= self.per_fuel;
        if fuel > 0 {
            self.state.consume_fuel(fuel)
        } else {
            Ok(())
        }
    }
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a value is nested more than {DEPTH_MAX} deep"))
}

fn is_namespace(object: &DynObject) -> bool {
    object.type_name().ends_with("::Namespace")
}

/// The value itself, once it is known to be of finite size that the fuel can pay for.
pub fn bounded(state: &State, value: Value) -> Result<Value, Error> {
    walked(&mut Meter::items(state), value, false)
}

/// The value as a namespace may hold it: no namespace inside (it could be the one it is stored in)
/// and no lazy iterator (it would see the namespace later). A list becomes one that can be changed.
pub fn kept(state: &State, value: Value) -> Result<Value, Error> {
    let value = walked(&mut Meter::items(state), value, true)?;
    Ok(match value.downcast_object_ref::<Vec<Value>>() {
        Some(items) => MutableList::value(items.clone()),
        None => value,
    })
}

/// A value to store in place of this one, or None when it is fine as it is.
fn walk(
    meter: &mut Meter,
    value: &Value,
    depth: usize,
    keep: bool,
) -> Result<Option<Value>, Error> {
    meter.add(1)?;
    let Some(object) = value.as_object() else {
        return Ok(None);
    };
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    if keep && is_namespace(object) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a namespace cannot be stored in a namespace or a list",
        ));
    }
    match object.repr() {
        ObjectRepr::Seq | ObjectRepr::Iterable => {
            // A changeable list inside another value is stored as it is now: were it shared, it
            // could be put into itself later.
            let snapshot = keep && value.downcast_object_ref::<MutableList>().is_some();
            let mut changed = snapshot || object.repr() == ObjectRepr::Iterable;
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                let item = item?;
                let walked = walk(meter, &item, depth + 1, keep)?;
                changed |= walked.is_some();
                items.push(walked.unwrap_or(item));
            }
            if !changed {
                return Ok(None);
            }
            let is_tuple = value.is_tuple();
            Ok(Some(if is_tuple { Value::from(Tuple::new(items)) } else { Value::from(items) }))
        }
        ObjectRepr::Map => {
            let mut changed = false;
            let mut pairs = Vec::new();
            for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                let walked = walk(meter, &item, depth + 1, keep)?;
                changed |= walked.is_some();
                pairs.push((key, walked.unwrap_or(item)));
            }
            Ok(changed.then(|| Value::from_pairs(pairs)))
        }
        _ => Ok(None), // functions and the like hold nothing
    }
}

fn walked(meter: &mut Meter, value: Value, keep: bool) -> Result<Value, Error> {
    Ok(walk(meter, &value, 0, keep)?.unwrap_or(value))
}

/// Half a unit of fuel an item, and one for 64 bytes of text.
fn weigh(meter: &mut Meter, value: &Value, depth: usize) -> Result<(), Error> {
    meter.add(1 + value.as_bytes().map_or(0, <[u8]>::len) / 32)?;
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match object.repr() {
        ObjectRepr::Seq | ObjectRepr::Iterable => {
            for item in value.try_iter()?.checked() {
                weigh(meter, &item?, depth + 1)?;
            }
        }
        ObjectRepr::Map => {
            for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                weigh(meter, &key, depth + 1)?;
                weigh(meter, &item, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Pays for `times` walks through all that the value holds, as often as it holds it. To compare or
/// to hash a value is such a walk, which the engine does not charge.
pub fn pay_for_walks(state: &State, value: &Value, times: u64) -> Result<(), Error> {
    weigh(&mut Meter { state, per_fuel: ITEMS_PER_FUEL, count: 0, times }, value, 0)
}

/// The value itself, paid for as something that is compared or hashed.
pub fn compared(state: &State, value: Value) -> Result<Value, Error> {
    pay_for_walks(state, &value, 1)?;
    Ok(value)
}

/// The value itself, paid for as something that is searched: of a dict, only its hash table is.
pub fn searched(state: &State, value: Value) -> Result<Value, Error> {
    let is_map = value.as_object().is_some_and(|x| x.repr() == ObjectRepr::Map);
    // A text is charged by the engine.
    if !is_map && value.as_str().is_none() {
        pay_for_walks(state, &value, 1)?;
    }
    Ok(value)
}

/// The key itself, paid for as one of this value.
pub fn at(state: &State, key: Value, value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        pay_for_walks(state, value, 1)?;
    }
    compared(state, key)
}

/// The value itself, paid for as a text of which characters are counted.
pub fn indexed(state: &State, value: Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        pay_for_walks(state, &value, 1)?;
    }
    Ok(value)
}

/// `namespace(...)`, its values as minerva_kept would store them.
pub fn namespace(
    state: &mut State,
    options: Option<minijinja::value::ValueOrKwargs>,
) -> Result<Value, Error> {
    let mut pairs = Vec::new();
    if let Some(options) = options {
        let options = options.into_value();
        let object = options.as_object().filter(|x| x.repr() == ObjectRepr::Map);
        let Some(object) = object else {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "namespace() takes keywords or a dict",
            ));
        };
        for (key, value) in object.try_iter_pairs().into_iter().flatten() {
            pairs.push((key.to_string(), kept(state, value)?));
        }
    }
    minijinja::functions::namespace(Some(minijinja::value::ValueOrKwargs::from(Value::from(
        pairs.into_iter().collect::<Kwargs>(),
    ))))
}

/// A list that a template can change: what `namespace(x=[])` holds. Python's sandbox refuses
/// list.append; templates written for other engines use it.
pub struct MutableList(Mutex<Vec<Value>>);

impl fmt::Debug for MutableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}

impl MutableList {
    fn value(items: Vec<Value>) -> Value {
        Value::from_object(MutableList(Mutex::new(items)))
    }

    fn items(&self) -> Vec<Value> {
        match self.0.lock() {
            Ok(items) => items.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Value>) -> R) -> R {
        match self.0.lock() {
            Ok(mut items) => change(&mut items),
            Err(poisoned) => change(&mut poisoned.into_inner()),
        }
    }
}

impl Object for MutableList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = key.as_usize()?;
        self.change(|items| items.get(index).cloned())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.change(|items| items.len()))
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        use minijinja::value::from_args;
        let position = |index: i64, len: usize| -> usize {
            let len = len as i64;
            (if index < 0 { index.saturating_add(len).max(0) } else { index.min(len) }) as usize
        };
        // A list slot costs 24 bytes and a share of its growth.
        let slot = |state: &State| state.consume_fuel(1);
        match method {
            "append" => {
                let (item,): (Value,) = from_args(args)?;
                slot(state)?;
                let item = walked(&mut Meter::items(state), item, true)?;
                self.change(|items| items.push(item));
            }
            "insert" => {
                let (index, item): (i64, Value) = from_args(args)?;
                Meter::items(state).add(self.enumerator_len().unwrap_or(0))?;
                let item = walked(&mut Meter::items(state), item, true)?;
                self.change(|items| {
                    let at = position(index, items.len());
                    items.insert(at, item)
                });
            }
            "extend" => {
                let (more,): (Value,) = from_args(args)?;
                let more = walked(&mut Meter::items(state), more, true)?;
                let more: Vec<Value> = more.try_iter()?.collect();
                state.consume_fuel(more.len() as u64)?;
                self.change(|items| items.extend(more));
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(args)?;
                Meter::items(state).add(self.enumerator_len().unwrap_or(0))?;
                return self.change(|items| {
                    let index = index.unwrap_or(-1);
                    let at = if index < 0 { index + items.len() as i64 } else { index };
                    if at < 0 || at >= items.len() as i64 {
                        return Err(Error::new(
                            ErrorKind::InvalidOperation,
                            "pop index out of range",
                        ));
                    }
                    Ok(items.remove(at as usize))
                });
            }
            "clear" => {
                let () = from_args(args)?;
                self.change(|items| items.clear());
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}
