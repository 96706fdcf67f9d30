//! The organisation's working hours and its own time of day: facts for policy (ACC-09).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wardbook_policy::WallClock;

/// When the organisation works, by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingHours {
    zone: TimeZone,
    /// None means always.
    spans: Vec<Span>,
}

/// On these days from one minute of the day to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u16,
    to: u16,
    /// Bit 1 is Monday, bit 7 Sunday.
    days: u8,
}

/// Hours or a time zone that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Not a zone of the IANA database on this machine.
    #[error(
        "organisation.time_zone must be a name such as \"Europe/Berlin\" of the time zone database on this machine"
    )]
    Zone,
    /// Not hours.
    #[error(
        "organisation.working_hours must be like \"08:00-18:00 Mon-Fri\", several with commas between, or empty for always"
    )]
    Hours,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl WorkingHours {
    /// From the settings: `Europe/Berlin` and `08:00-18:00 Mon-Fri, 09:00-12:00 Sat`. A night goes over midnight as two:
    /// `22:00-24:00 Mon-Sun, 00:00-06:00 Mon-Sun`.
    ///
    /// # Errors
    /// If either cannot be understood.
    pub fn new(zone: &str, hours: &str) -> Result<Self, HoursError> {
        // UTC needs no database.
        let zone = if zone == "UTC" { Ok(TimeZone::UTC) } else { TimeZone::get(zone) };
        let zone = zone.map_err(|_| HoursError::Zone)?;
        let given = hours.split(',').map(str::trim).filter(|span| !span.is_empty());
        let spans = given.map(|text| span(text).ok_or(HoursError::Hours)).collect::<Result<_, _>>()?;
        if hours.contains(',') && hours.split(',').any(|span| span.trim().is_empty()) {
            return Err(HoursError::Hours);
        }
        Ok(Self { zone, spans })
    }

    /// The organisation's time of day at this instant, and whether it works.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> WallClock {
        let local = now.to_zoned(self.zone.clone());
        let weekday = local.weekday().to_monday_one_offset().unsigned_abs();
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let works = |span: &Span| span.days & (1 << weekday) != 0 && (span.from..span.to).contains(&minute);
        WallClock { weekday, minute, open: self.spans.is_empty() || self.spans.iter().any(works) }
    }
}

/// `08:00-18:00 Mon-Fri`; without days, every day.
fn span(text: &str) -> Option<Span> {
    let mut words = text.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    let days = match words.next() {
        None => 0xfe,
        Some(days) => {
            let (first, last) = days.split_once('-').unwrap_or((days, days));
            let (first, last) = (day(first)?, day(last)?);
            (first <= last).then(|| (first..=last).fold(0, |days, day| days | (1 << day)))?
        }
    };
    (words.next().is_none() && from < to).then_some(Span { from, to, days })
}

/// 1 Monday to 7 Sunday.
fn day(text: &str) -> Option<u8> {
    let at = DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))?;
    u8::try_from(at + 1).ok()
}

/// Minute of the day, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let two =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok());
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two(hour)??, two(minute)??);
    (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(zone: &str, hours: &str, at: &str) -> bool {
        WorkingHours::new(zone, hours).unwrap().at(at.parse().unwrap()).open
    }

    #[test]
    fn hours_begin_and_end_to_the_minute_and_know_their_days() {
        // 2 March 2026 is a Monday.
        let weekdays = "08:00-18:00 Mon-Fri";
        for (at, works) in [
            ("2026-03-02T07:59:59Z", false),
            ("2026-03-02T08:00:00Z", true),
            ("2026-03-06T17:59:59Z", true),
            ("2026-03-06T18:00:00Z", false),
            ("2026-03-07T12:00:00Z", false),
            ("2026-03-08T12:00:00Z", false),
        ] {
            assert_eq!(open("UTC", weekdays, at), works, "{at}");
        }
        let several = "22:00-24:00 mon-sun, 00:00-06:00, 09:00-12:00 SAT";
        for (at, works) in [
            ("2026-03-07T23:59:59Z", true),
            ("2026-03-08T00:00:00Z", true),
            ("2026-03-07T09:30:00Z", true),
            ("2026-03-08T09:30:00Z", false),
        ] {
            assert_eq!(open("UTC", several, at), works, "{at}");
        }
    }

    #[test]
    fn nothing_said_means_always() {
        assert!(open("UTC", "", "2026-03-08T03:00:00Z") && open("UTC", "  ", "2026-03-08T03:00:00Z"));
    }

    #[test]
    fn the_clock_is_the_organisations_own_also_in_summer() {
        if TimeZone::get("Europe/Berlin").is_err() {
            assert_eq!(WorkingHours::new("Europe/Berlin", ""), Err(HoursError::Zone), "this machine has no zones");
            return;
        }
        let hours = WorkingHours::new("Europe/Berlin", "08:00-18:00 Mon-Fri").unwrap();
        let at = |text: &str| hours.at(text.parse().unwrap());
        assert_eq!(at("2026-03-02T07:00:00Z"), WallClock { weekday: 1, minute: 480, open: true }, "winter");
        assert_eq!(at("2026-07-06T06:00:00Z"), WallClock { weekday: 1, minute: 480, open: true }, "summer");
        assert_eq!(at("2026-03-01T23:30:00Z"), WallClock { weekday: 1, minute: 30, open: false }, "already Monday");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for wrong in [
            "8:00-18:00",
            "08:00",
            "08:00-18:00 Mon-",
            "18:00-08:00",
            "08:00-08:00",
            "08:00-24:01",
            "08:60-09:00",
            "08:00-18:00 Fri-Mon",
            "08:00-18:00 Montag",
            "08:00-18:00 Mon Tue",
            "08:00-18:00,",
            ",",
            "always",
            "+8:00-18:00",
            "99:00-99:30",
        ] {
            assert_eq!(WorkingHours::new("UTC", wrong), Err(HoursError::Hours), "{wrong}");
        }
        assert_eq!(WorkingHours::new("Mars/Olympus", ""), Err(HoursError::Zone));
    }
}
