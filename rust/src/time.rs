//! strftime as Python's datetime.now().strftime in the C locale. The caller says what time it is:
//! nothing here reads a clock.

use std::fmt::Write;

/// Local time, as C's struct tm but with plain numbers. The same layout in minerva_rust.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LocalTime {
    pub year: i32,
    /// 1 to 12
    pub month: i32,
    /// 1 to 31
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub microsecond: i32,
    /// 0 is Sunday
    pub weekday: i32,
    /// 1 to 366
    pub day_of_year: i32,
    pub epoch_seconds: i64,
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn name(names: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or("?")
}

impl LocalTime {
    pub fn format(&self, format: &str) -> String {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('-') => match chars.next() {
                    Some(code) => {
                        let mut padded = String::new();
                        self.field(&mut padded, code);
                        // glibc's flag: the number without its padding
                        let bare = padded.trim_start_matches(['0', ' ']);
                        out.push_str(if bare.is_empty() && !padded.is_empty() {
                            "0"
                        } else {
                            bare
                        });
                    }
                    None => out.push_str("%-"),
                },
                Some(code) => self.field(&mut out, code),
                None => out.push('%'),
            }
        }
        out
    }

    fn field(&self, out: &mut String, code: char) {
        let hour12 = if self.hour % 12 == 0 { 12 } else { self.hour % 12 };
        let _ = match code {
            'a' => write!(out, "{}", &name(&DAYS, self.weekday).get(..3).unwrap_or("?")),
            'A' => write!(out, "{}", name(&DAYS, self.weekday)),
            'b' | 'h' => write!(out, "{}", &name(&MONTHS, self.month - 1).get(..3).unwrap_or("?")),
            'B' => write!(out, "{}", name(&MONTHS, self.month - 1)),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'm' => write!(out, "{:02}", self.month),
            'y' => write!(out, "{:02}", self.year.rem_euclid(100)),
            'Y' => write!(out, "{}", self.year),
            'C' => write!(out, "{:02}", self.year / 100),
            'H' => write!(out, "{:02}", self.hour),
            'I' => write!(out, "{hour12:02}"),
            'k' => write!(out, "{:2}", self.hour),
            'l' => write!(out, "{hour12:2}"),
            'M' => write!(out, "{:02}", self.minute),
            'S' => write!(out, "{:02}", self.second),
            'f' => write!(out, "{:06}", self.microsecond),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'P' => write!(out, "{}", if self.hour < 12 { "am" } else { "pm" }),
            'j' => write!(out, "{:03}", self.day_of_year),
            'w' => write!(out, "{}", self.weekday),
            'u' => write!(out, "{}", if self.weekday == 0 { 7 } else { self.weekday }),
            's' => write!(out, "{}", self.epoch_seconds),
            'U' => write!(out, "{:02}", (self.day_of_year + 6 - self.weekday) / 7),
            'W' => write!(out, "{:02}", (self.day_of_year + 6 - (self.weekday + 6) % 7) / 7),
            'D' | 'x' => write!(out, "{}", self.format("%m/%d/%y")),
            'F' => write!(out, "{}", self.format("%Y-%m-%d")),
            'T' | 'X' => write!(out, "{}", self.format("%H:%M:%S")),
            'R' => write!(out, "{}", self.format("%H:%M")),
            'r' => write!(out, "{}", self.format("%I:%M:%S %p")),
            'c' => write!(out, "{}", self.format("%a %b %e %H:%M:%S %Y")),
            'n' => out.write_char('\n'),
            't' => out.write_char('\t'),
            '%' => out.write_char('%'),
            // datetime.now() knows no time zone: both are empty.
            'z' | 'Z' => Ok(()),
            other => write!(out, "%{other}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python() {
        let t = LocalTime {
            year: 2026,
            month: 1,
            day: 5,
            hour: 0,
            minute: 7,
            second: 9,
            microsecond: 42,
            weekday: 1,
            day_of_year: 5,
            epoch_seconds: 1767571629,
        };
        assert_eq!(t.format("%d %b %Y"), "05 Jan 2026");
        assert_eq!(t.format("%A, %B %-d, %Y %I:%M %p"), "Monday, January 5, 2026 12:07 AM");
        assert_eq!(
            t.format("%Y-%m-%dT%H:%M:%S.%f%z|%j|%U|%W|%%|%c"),
            "2026-01-05T00:07:09.000042|005|01|01|%|Mon Jan  5 00:07:09 2026"
        );
        assert_eq!(t.format("%-H %-M"), "0 7");
    }
}
