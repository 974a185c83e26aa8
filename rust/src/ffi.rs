//! The C ABI. Every entry catches panics: none may unwind into C++. Text handed out is freed by
//! minerva_text_free.

use crate::template::{Failure, Limits, Template};
use crate::time::LocalTime;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

/// Bytes owned by this library until minerva_text_free.
#[repr(C)]
pub struct Text {
    data: *mut u8,
    size: usize,
}

const EMPTY: Text = Text { data: ptr::null_mut(), size: 0 };

fn give(text: String) -> Text {
    let bytes = text.into_bytes().into_boxed_slice();
    let size = bytes.len();
    Text { data: Box::into_raw(bytes).cast(), size }
}

/// A panic becomes an error that the caller logs; the library itself prints nothing.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

fn guard<R>(run: impl FnOnce() -> Result<R, (Failure, String)>) -> Result<R, (Failure, String)> {
    quiet();
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown panic");
        Err((Failure::Panic, text.to_string()))
    })
}

unsafe fn slice<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// # Safety
/// `source` points to `size` bytes; `out` and `error` to writable places.
#[no_mangle]
pub unsafe extern "C" fn minerva_template_compile(
    source: *const u8,
    size: usize,
    out: *mut *mut Template,
    error: *mut Text,
) -> i32 {
    *out = ptr::null_mut();
    *error = EMPTY;
    let result = guard(|| {
        let source = std::str::from_utf8(slice(source, size)).map_err(|e| {
            (Failure::Template, format!("the template is not UTF-8 at byte {}", e.valid_up_to()))
        })?;
        Template::compile(source).map_err(|e| (Failure::Template, e))
    });
    match result {
        Ok(template) => {
            *out = Box::into_raw(Box::new(template));
            0
        }
        Err((failure, message)) => {
            *error = give(message);
            failure as i32
        }
    }
}

/// # Safety
/// `template` came from minerva_template_compile; `context` points to `size` bytes; the others to
/// readable or writable places of their types.
#[no_mangle]
pub unsafe extern "C" fn minerva_template_render(
    template: *const Template,
    context: *const u8,
    size: usize,
    now: *const LocalTime,
    limits: *const Limits,
    out: *mut Text,
) -> i32 {
    *out = EMPTY;
    match guard(|| (*template).render(slice(context, size), &*now, &*limits)) {
        Ok(text) => {
            *out = give(text);
            0
        }
        Err((failure, message)) => {
            *out = give(message);
            failure as i32
        }
    }
}

/// # Safety
/// `template` came from minerva_template_compile and is not used again.
#[no_mangle]
pub unsafe extern "C" fn minerva_template_free(template: *mut Template) {
    if !template.is_null() {
        let _ = guard(|| {
            drop(Box::from_raw(template));
            Ok(())
        });
    }
}

/// # Safety
/// `text` came from this library and is not used again.
#[no_mangle]
pub unsafe extern "C" fn minerva_text_free(text: Text) {
    if !text.data.is_null() {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(text.data, text.size)));
    }
}
