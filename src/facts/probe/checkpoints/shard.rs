//! Names of the files of one checkpoint, as Hugging Face and llama.cpp number them.

/// `model-00001-of-00003.safetensors`: what stands before the numbers and behind them, and how many files there are.
pub struct Shard<'a> {
    before: &'a str,
    digits: usize,
    /// How many there are, 1 to 99999.
    pub count: usize,
    behind: &'a str,
}

impl<'a> Shard<'a> {
    /// `None` when the name is not one of several.
    pub fn of(name: &'a str) -> Option<Self> {
        let (front, behind) = name.rsplit_once('.')?;
        let (front, count) = front.rsplit_once("-of-")?;
        let (before, number) = front.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(number) || !is_number(count) {
            return None;
        }
        let (digits, count) = (count.len(), count.parse().ok()?);
        let number: usize = number.parse().ok()?;
        (1..=count).contains(&number).then_some(Self { before, digits, count, behind })
    }

    /// The name of one, from 1.
    pub fn name(&self, number: usize) -> String {
        let Self { before, digits, count, behind } = self;
        format!("{before}-{number:0digits$}-of-{count:0digits$}.{behind}")
    }

    /// The name of the whole, with `*` for the number.
    pub fn all(&self) -> String {
        let Self { before, digits, count, behind } = self;
        format!("{before}-*-of-{count:0digits$}.{behind}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_five_digits_and_in_their_range() {
        let shard = Shard::of("model-00002-of-00003.safetensors").unwrap();
        assert_eq!(
            (shard.name(3), shard.all()),
            ("model-00003-of-00003.safetensors".into(), "model-*-of-00003.safetensors".into())
        );
        for name in
            ["model.gguf", "m-1-of-3.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "00001-of-00003.gguf"]
        {
            assert!(Shard::of(name).is_none(), "{name}");
        }
    }
}
