//! One compiled template and how it is rendered: trim_blocks and lstrip_blocks as Hugging Face sets
//! them, a budget of fuel, of output and of nesting for every render. Immutable; any thread.

use crate::filters::{install, Raised};
use crate::time::LocalTime;
use crate::{methods, source};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use std::io;

/// The same layout in minerva_rust.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    pub fuel: u64,
    pub output_bytes: u64,
    pub recursion: u64,
}

/// Why a render failed. The numbers are those of minerva_rust.h.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(i32)]
pub enum Failure {
    Raised = 1,
    Template = 2,
    OutOfFuel = 3,
    OutputTooLarge = 4,
    BadContext = 5,
    Panic = 6,
}

pub struct Template {
    env: Environment<'static>,
    uses_clock: bool,
}

const NAME: &str = "template";

impl Template {
    pub fn compile(source: &str) -> Result<Template, String> {
        let prepared = source::prepare(source)?;
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(false)
            .build()
            .map_err(|e| e.to_string())?;
        env.set_syntax(syntax);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_unknown_method_callback(methods::call);
        env.set_debug(false);
        install(&mut env);
        env.add_template_owned(NAME, prepared.source).map_err(|e| message(&e))?;
        Ok(Template { env, uses_clock: prepared.uses_clock })
    }

    pub fn render(
        &self,
        context: &[u8],
        now: &LocalTime,
        limits: &Limits,
    ) -> Result<String, (Failure, String)> {
        let context: Value = serde_json::from_slice(context)
            .map_err(|e| (Failure::BadContext, format!("the template's context: {e}")))?;
        let mut env = self.env.clone(); // a few reference counts
        env.set_fuel(Some(limits.fuel));
        env.set_recursion_limit(usize::try_from(limits.recursion).unwrap_or(usize::MAX));
        if self.uses_clock {
            let now = *now;
            env.add_function("strftime_now", move |format: &str| now.format(format));
        }
        let template = env.get_template(NAME).map_err(|e| (Failure::Template, message(&e)))?;
        let mut out = Capped { bytes: Vec::new(), bytes_max: limits.output_bytes, full: false };
        let outcome = template.render_captured_to(context, &mut out).map(|_| ());
        if out.full {
            return Err((
                Failure::OutputTooLarge,
                format!("the template wrote more than {} bytes", limits.output_bytes),
            ));
        }
        match outcome {
            Ok(()) => String::from_utf8(out.bytes).map_err(|e| (Failure::Template, e.to_string())),
            Err(error) => Err(describe(&error, limits)),
        }
    }
}

struct Capped {
    bytes: Vec<u8>,
    bytes_max: u64,
    full: bool,
}

impl io::Write for Capped {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.bytes.len() as u64 + text.len() as u64 > self.bytes_max {
            self.full = true;
            return Err(io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn describe(error: &Error, limits: &Limits) -> (Failure, String) {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        if let Some(raised) = e.downcast_ref::<Raised>() {
            return (Failure::Raised, raised.0.clone());
        }
        if e.downcast_ref::<Error>().is_some_and(|e| e.kind() == ErrorKind::OutOfFuel) {
            return (
                Failure::OutOfFuel,
                format!("the template used up its {} units of work and was stopped", limits.fuel),
            );
        }
        cause = e.source();
    }
    (Failure::Template, message(error))
}

/// What the engine says, with the line.
fn message(error: &Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}
