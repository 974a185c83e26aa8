//! Minerva's one Rust library. Chat templates: minijinja made to render as Python's jinja2 does in
//! Hugging Face's settings, and made safe for templates that come out of downloaded model files.
//! Its face is the C ABI of include/minerva_rust.h (ffi.rs); nothing else is public.

mod ffi;
mod filters;
mod json;
mod methods;
mod source;
mod template;
mod text;
mod time;
mod values;
