//! Instants as `#inst` and as RFC 3339: milliseconds since the Unix epoch to text and back.
//! `#inst` follows `clojure.instant`: partial forms, and the Julian calendar before 15 October 1582, as
//! `java.util.GregorianCalendar` has it. It does not know the time.

use std::fmt::Write;

const DAY_MS: i64 = 86_400_000;
/// 15 October 1582, the first day of the Gregorian calendar, in days since the Unix epoch.
const CUTOVER_DAY: i64 = -141_427;
/// What four digits of a year can say: 0000-01-01 in the Julian calendar, and the end of 9999.
const FIRST_MS: i64 = -719_530 * DAY_MS;
const LAST_MS: i64 = 2_932_897 * DAY_MS - 1;

/// Whether `#inst` can hold the instant: its years have four digits.
pub(super) fn in_range(ms: i64) -> bool {
    (FIRST_MS..=LAST_MS).contains(&ms)
}

/// `2026-11-23T15:00:00.000-00:00`, as Clojure prints a `java.util.Date`.
pub(super) fn write_inst(ms: i64, out: &mut String) {
    let day = ms.div_euclid(DAY_MS);
    let date = if day >= CUTOVER_DAY { gregorian_date(day) } else { julian_date(day) };
    write_parts(date, ms, out);
    out.push_str("-00:00");
}

/// `2026-11-23T15:00:00.000Z`.
pub(super) fn write_rfc3339(ms: i64, out: &mut String) {
    write_parts(gregorian_date(ms.div_euclid(DAY_MS)), ms, out);
    out.push('Z');
}

fn write_parts((year, month, day): (i64, i64, i64), ms: i64, out: &mut String) {
    let ms = ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1000);
}

/// Reads what `clojure.instant/read-instant-date` reads; nothing where it would throw.
pub(super) fn read_inst(text: &str) -> Option<i64> {
    let mut rest = Digits(text.as_bytes());
    let year = rest.number(4)?;
    let month = rest.after(b'-', 2)?;
    let day = if month.is_some() { rest.after(b'-', 2)? } else { None };
    let hour = if day.is_some() { rest.after(b'T', 2)? } else { None };
    let minute = if hour.is_some() { rest.after(b':', 2)? } else { None };
    let second = if minute.is_some() { rest.after(b':', 2)? } else { None };
    let fraction_ms = if second.is_some() { rest.fraction()? } else { 0 };
    let offset_minutes = rest.offset()?;
    let (month, day) = (month.unwrap_or(1), day.unwrap_or(1));
    let (hour, minute, second) = (hour.unwrap_or(0), minute.unwrap_or(0), second.unwrap_or(0));
    let leap_second = if minute == 59 { 60 } else { 59 };
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > leap_second {
        return None;
    }
    let gregorian = gregorian_day(year, month, day);
    let days = if gregorian >= CUTOVER_DAY { gregorian } else { julian_day(year, month, day) };
    let seconds = hour * 3600 + (minute - offset_minutes) * 60 + second;
    Some(days * DAY_MS + seconds * 1000 + fraction_ms).filter(|ms| in_range(*ms))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year < 1582 || year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        self.0 = rest;
        digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// A number behind a mark; `Some(None)` where the mark does not stand here. A sign may also begin the offset.
    fn after(&mut self, mark: u8, width: usize) -> Option<Option<i64>> {
        let is_offset = mark == b'-' && self.0.len() == 6 && self.0[3] == b':';
        if is_offset || !self.take(mark) { Some(None) } else { self.number(width).map(Some) }
    }

    fn fraction(&mut self) -> Option<i64> {
        if !self.take(b'.') {
            return Some(0);
        }
        let width = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if width == 0 {
            return None;
        }
        let digits = self.0[..width].iter().chain([b'0', b'0'].iter()).take(3);
        let ms = digits.fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        self.0 = &self.0[width..];
        Some(ms)
    }

    /// Minutes east of UTC; the text must end here.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.0 == b"Z" {
            return Some(0);
        }
        let sign = if self.take(b'-') {
            -1
        } else if self.take(b'+') {
            1
        } else {
            return None;
        };
        let hours = self.number(2)?;
        let minutes = self.after(b':', 2)??;
        (self.0.is_empty() && hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
    }
}

/// Days of a year that begins in March before the given day.
fn day_of_march_year(month: i64, day: i64) -> i64 {
    (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1
}

fn gregorian_day(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_march_year(month, day) - 719_468
}

fn julian_day(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    year * 365 + year.div_euclid(4) + day_of_march_year(month, day) - 719_470
}

fn gregorian_date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    date_of(era * 400 + year_of_era, of_year)
}

fn julian_date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_470;
    let (era, of_era) = (day.div_euclid(1461), day.rem_euclid(1461));
    let year_of_era = (of_era - of_era / 1460) / 365;
    date_of(era * 4 + year_of_era, of_era - 365 * year_of_era)
}

fn date_of(march_year: i64, of_year: i64) -> (i64, i64, i64) {
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (march_year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inst(ms: i64) -> String {
        let mut out = String::new();
        write_inst(ms, &mut out);
        out
    }

    #[test]
    fn instants_are_written_as_clojure_prints_dates() {
        assert_eq!(inst(0), "1970-01-01T00:00:00.000-00:00");
        assert_eq!(inst(1_700_000_000_123), "2023-11-14T22:13:20.123-00:00");
        assert_eq!(inst(-1), "1969-12-31T23:59:59.999-00:00");
        assert_eq!(inst(CUTOVER_DAY * DAY_MS), "1582-10-15T00:00:00.000-00:00");
        assert_eq!(inst(CUTOVER_DAY * DAY_MS - 1), "1582-10-04T23:59:59.999-00:00");
        assert_eq!(inst(FIRST_MS), "0000-01-01T00:00:00.000-00:00");
        assert_eq!(inst(LAST_MS), "9999-12-31T23:59:59.999-00:00");
    }

    #[test]
    fn every_day_that_can_be_written_is_read_back() {
        for day in (FIRST_MS / DAY_MS)..=(LAST_MS / DAY_MS) {
            let ms = day * DAY_MS + 12_345_678;
            if ms <= LAST_MS && day % 7 == 0 {
                assert_eq!(read_inst(&inst(ms)), Some(ms), "{}", inst(ms));
            }
        }
    }

    #[test]
    fn partial_forms_are_read_and_wrong_ones_refused() {
        for (text, full) in [
            ("2020", "2020-01-01T00:00:00.000-00:00"),
            ("2020-02", "2020-02-01T00:00:00.000-00:00"),
            ("2020-02-29", "2020-02-29T00:00:00.000-00:00"),
            ("2020-02-29T13", "2020-02-29T13:00:00.000-00:00"),
            ("2020-02-29T13:14Z", "2020-02-29T13:14:00.000-00:00"),
            ("2020-02-29T13:14:15.9+02:30", "2020-02-29T10:44:15.900-00:00"),
            ("2020-02-29T13:14:15.123456789999-01:00", "2020-02-29T14:14:15.123-00:00"),
            ("2020-12-31T23:59:60Z", "2021-01-01T00:00:00.000-00:00"),
            ("2020-05:00", "2020-01-01T05:00:00.000-00:00"),
            ("2020-01-05:00", "2020-01-01T05:00:00.000-00:00"),
        ] {
            assert_eq!(read_inst(text).map(inst).unwrap_or_default(), full, "{text}");
        }
        for text in [
            "",
            "20",
            "2020-13",
            "2020-02-30",
            "2019-02-29",
            "2020-01-01T24",
            "2020-01-01T00:00:60",
            "2020Zx",
            "2020-01-01T00:00:00.",
        ] {
            assert_eq!(read_inst(text), None, "{text}");
        }
    }
}
