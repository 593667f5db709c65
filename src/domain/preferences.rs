//! How a person wants their pages: colours, size of text, keys, clocks. Everything here is a choice of few, so that a page
//! can be made for it without a script.

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $choice:ident => $key:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $choice,)*
        }

        impl $name {
            /// All of them, the one without a choice first.
            pub const ALL: &[Self] = &[$(Self::$choice,)*];

            /// Its name in the database, in forms and on the page.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$choice => $key,)*
                }
            }

            /// For people.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$choice => $words,)*
                }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.name() == name)
            }
        }
    };
}

choices! {
    /// The colours of the pages.
    Theme {
        /// Whatever the device is set to.
        #[default]
        System => "system", "As this device is set";
        /// Dark on light.
        Light => "light", "Light";
        /// Light on dark.
        Dark => "dark", "Dark";
        /// Dimmer than dark.
        Night => "night", "Night: dark, and dimmer";
    }
}

choices! {
    /// How large text is.
    TextSize {
        /// As it was drawn.
        #[default]
        Usual => "100", "100 %";
        /// A little larger.
        Large => "115", "115 %";
        /// Much larger.
        Larger => "130", "130 %";
    }
}

choices! {
    /// Whether single keys do anything (WCAG 2.1.4).
    Keys {
        /// They do.
        #[default]
        On => "on", "On";
        /// Only together with Alt.
        Alt => "alt", "Only with Alt";
        /// They do not.
        Off => "off", "Off";
    }
}

choices! {
    /// In which zone times are said.
    Clocks {
        /// In UTC, as everybody else reads them.
        #[default]
        Utc => "utc", "UTC";
        /// In UTC, with the time of this device behind it.
        Both => "both", "UTC, and the time of this device behind it";
    }
}

impl TextSize {
    /// In per cent.
    pub fn percent(self) -> i16 {
        match self {
            Self::Usual => 100,
            Self::Large => 115,
            Self::Larger => 130,
        }
    }
}

/// What one person chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Colours.
    pub theme: Theme,
    /// Size of text.
    pub text: TextSize,
    /// Keys.
    pub keys: Keys,
    /// Clocks.
    pub clocks: Clocks,
}

impl Preferences {
    /// In one word, for a cookie: `dark.115.alt.both`.
    pub fn line(self) -> String {
        [
            self.theme.name(),
            self.text.name(),
            self.keys.name(),
            self.clocks.name(),
        ]
        .join(".")
    }

    /// What such a word says; `None` for anything else.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.split('.');
        let read = Self {
            theme: Theme::named(parts.next()?)?,
            text: TextSize::named(parts.next()?)?,
            keys: Keys::named(parts.next()?)?,
            clocks: Clocks::named(parts.next()?)?,
        };
        parts.next().is_none().then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_back_as_it_was_written_and_nothing_else_is() {
        let chosen = Preferences {
            theme: Theme::Night,
            text: TextSize::Larger,
            keys: Keys::Alt,
            clocks: Clocks::Both,
        };
        assert_eq!(chosen.line(), "night.130.alt.both");
        assert_eq!(Preferences::from_line(&chosen.line()), Some(chosen));
        for wrong in [
            "",
            "night",
            "night.130.alt",
            "night.130.alt.both.x",
            "\"><script>.100.on.utc",
        ] {
            assert_eq!(Preferences::from_line(wrong), None, "{wrong}");
        }
        for size in TextSize::ALL {
            assert_eq!(size.percent().to_string(), size.name());
        }
    }
}
