//! The time of day in which a model may change by itself. Pure.

/// Minutes of a day, UTC, from the first to before the second; over midnight where the second is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    from: i64,
    to: i64,
}

const DAY_MIN: i64 = 24 * 60;

impl Window {
    /// As in `01:00-05:00`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        Some(Self { from: minutes(from)?, to: minutes(to)? })
    }

    /// Whether this moment, ms since 1970, lies in it.
    pub(crate) fn is_open(self, now_ms: i64) -> bool {
        let now = now_ms.div_euclid(60_000).rem_euclid(DAY_MIN);
        if self.from <= self.to { (self.from..self.to).contains(&now) } else { now >= self.from || now < self.to }
    }
}

fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: i64| -> Option<i64> {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_plain && (0..=most).contains(number))
    };
    Some(number(hours, 23)? * 60 + number(minutes, 59)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_lie_over_midnight() {
        let at = |hours: i64, minutes: i64| (20_000 * DAY_MIN + hours * 60 + minutes) * 60_000;
        let day = Window::read("01:00-05:30").unwrap();
        assert_eq!([0, 1, 5, 6].map(|hour| day.is_open(at(hour, 0))), [false, true, true, false]);
        assert!(day.is_open(at(5, 29)) && !day.is_open(at(5, 30)));
        let night = Window::read("22:00-04:00").unwrap();
        assert_eq!([21, 22, 3, 4].map(|hour| night.is_open(at(hour, 0))), [false, true, true, false]);
        for wrong in ["", "1:00-05:00", "01:00", "24:00-05:00", "01:60-02:00", "01:00-05:00 "] {
            assert_eq!(Window::read(wrong), None, "{wrong:?}");
        }
    }
}
