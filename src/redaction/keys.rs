//! Names whose values are secrets.

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Of a secret: `HF_TOKEN`, `apiKey`, `--password`.
    Secret,
    /// Nothing but `key`: a secret where a value is given to it, and a word like any other elsewhere.
    Bare,
    /// Of what tells who or where somebody is: `user`, `hostname`, `serial`.
    Person,
}

/// What the name of a secret contains, whatever separates its words.
const SECRET: &[&str] = &[
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "cookie",
    "connectionstring",
    "webhook",
];

/// Words that only secrets are called by.
const SECRET_WORDS: &[&str] = &[
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "cred",
    "creds",
    "csrf",
    "jwt",
    "oauth",
    "otp",
    "pass",
    "pat",
    "pin",
    "psk",
    "pwd",
    "sas",
    "session",
    "sessionid",
    "xsrf",
];

/// Words that end the name of what belongs to somebody.
const PERSON_WORDS: &[&str] = &[
    "account",
    "email",
    "host",
    "hostname",
    "login",
    "mac",
    "macaddress",
    "mail",
    "owner",
    "serial",
    "serialnumber",
    "user",
    "username",
    "uuid",
];

/// What a name says of its value; `None` for most.
pub(super) fn find(name: &str) -> Option<Key> {
    let words = words(name);
    let joined = words.concat();
    let is_token = |word: &String| {
        word.starts_with("token") && !word.starts_with("tokeni") || word.ends_with("token") || word.ends_with("tokens")
    };
    // Of curl: `-u user:password`.
    let is_secret = name == "-u"
        || SECRET.iter().any(|secret| joined.contains(secret))
        || words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || is_token(word))
        || words.len() > 1 && words.last().is_some_and(|word| word == "key" || word == "keys");
    if is_secret {
        return Some(Key::Secret);
    }
    if joined == "key" {
        return Some(Key::Bare);
    }
    let last = words.last()?;
    let two = words.len().checked_sub(2).map(|at| words[at..].concat());
    let is_of_person = |word: &str| PERSON_WORDS.contains(&word);
    (words[0] == "hf" || is_of_person(last) || two.is_some_and(|two| is_of_person(&two))).then_some(Key::Person)
}

// The words of a name, in lower case: `HF_TOKEN`, `hfToken`, `hf-token` and `HFToken` are `hf` and `token`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_others() {
        #[rustfmt::skip]
        let secrets = [
            "HF_TOKEN", "hfToken", "HFToken", "--hf-token", "api_key", "apiKey", "APIKEY", "openai.key", "aws_secret_access_key",
            "password", "db-passwd", "pwd", "PGPASSWORD", "authorization", "gradio_auth", "Cookie", "sessionid", "tokens",
            "private_key", "ssh-private-key", "credentials", "accessToken", "authtoken", "client_secret", "SECRETS",
        ];
        for name in secrets {
            assert_eq!(find(name), Some(Key::Secret), "{name}");
        }
        for name in ["user", "user_name", "db.host", "hostname", "serial_number", "UUID", "e-mail", "hf_home"] {
            assert_eq!(find(name), Some(Key::Person), "{name}");
        }
        for name in ["key", "KEY", "--key"] {
            assert_eq!(find(name), Some(Key::Bare), "{name}");
        }
        #[rustfmt::skip]
        let others = [
            "tokenizer", "vae_tile_size", "author", "keys", "passes", "host.os", "path", "model", "userland", "compass",
            "t5_cpu", "Wan2.2-TI2V-5B", "attention", "default_quantization",
        ];
        for name in others {
            assert_eq!(find(name), None, "{name}");
        }
    }
}
