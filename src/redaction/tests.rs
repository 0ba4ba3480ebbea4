use proptest::prelude::*;

use super::*;

fn redaction() -> Redaction {
    let names = ["/home/arthur", "arthur", "deep-thought"].map(str::to_owned).to_vec();
    Redaction::of(Some("/home/arthur"), names)
}

#[test]
fn what_is_no_secret_stays() {
    #[rustfmt::skip]
    let texts = [
        "{\n  \"system\": { \"default_quantization\": \"bf16\", \"vae_tile_size\": 256 },\n  \"port\": 7860\n}\n",
        "[optimization]\nvae_tile_size = 256 # px\ntokenizer = \"google/umt5-xxl\"\n",
        "models/diffusion_models/wan2.2_t2v_high_noise_14B_fp8_e4m3fn_scaled_KJ.safetensors",
        "python3 generate.py --task ti2v-5B --size 1280*704 --offload_model True --ckpt_dir ./Wan2.2-TI2V-5B",
        "host: 127.0.0.1\nlisten: 0.0.0.0:7860\nserver_name: localhost\n", "torch==2.8.0 nvidia-cudnn-cu12==9.1.0.70",
        "the key abc is unknown, and a key for it: none", "keys: [a, b]\n\"keys\": {\"tile\": 256}\n", "[key]\ntile = 256\n",
        "hf_transfer and hf_hub_download", "use_auth: true\npassword: \"\"\ntoken = None\n", "12:30:45 00000000:01:00.0",
        "linux, 5.15.167.4-microsoft-standard-WSL2, x86_64",
    ];
    for text in texts {
        assert_eq!(redaction().text(text), text);
    }
}

#[test]
fn secrets_become_stars_of_their_length() {
    #[rustfmt::skip]
    let cases = [
        ("{\"hf_token\": \"abc\", \"tile\": 256}", "{\"hf_token\": \"***\", \"tile\": 256}"),
        ("{\"pin\": 1234, \"tile\": 256}", "{\"pin\": ****, \"tile\": 256}"),
        ("api_key = 'a b c' # mine", "api_key = '*****' # mine"),
        ("export HF_TOKEN=abc", "export HF_TOKEN=***"),
        ("{\"key\": \"0123456789abcdef\", \"tile\": 256}", "{\"key\": \"****************\", \"tile\": 256}"),
        ("api:\n  key: sword fish\n  tile: 256\n", "api:\n  key: **********\n  tile: 256\n"),
        ("[api]\nkey = 'abc'\ntile = 256\n", "[api]\nkey = '***'\ntile = 256\n"),
        ("KEY=abc\nTILE=256\n", "KEY=***\nTILE=256\n"),
        ("run --key=abc --tile 256", "run --key=*** --tile 256"),
        ("run --key abc --tile 256", "run --key *** --tile 256"),
        ("https://example.org/?key=abc&tile=256", "https://example.org/?key=************"),
        ("run --token abc --tile 256", "run --token *** --tile 256"),
        ("{\"cmd\": \"main.py --password abc --token=def\"}", "{\"cmd\": \"main.py --password *** --token=***\"}"),
        ("tokens:\n  - one\n  - two\ntile: 256\n", "tokens:\n*******\n*******\ntile: 256\n"),
        ("password: |\n  one\n\n  two\ntile: 256", "password: *\n*****\n\n*****\ntile: 256"),
        ("- name: HF_TOKEN\n  value: abc\n", "- name: HF_TOKEN\n  value: ***\n"),
        ("[\"--token\", \"abc\", \"--tile\"]", "[\"--token\", \"***\", \"--tile\"]"),
        ("[credentials]\nplain = \"x\"\n[vae]\ntile = 256\n", "[credentials]\n***********\n[vae]\ntile = 256\n"),
        ("[credentials] # mine\nplain = \"x\"\n[vae]\ntile = 256\n", "[credentials] # mine\n***********\n[vae]\ntile = 256\n"),
        ("run --password 2024,summer! --tile 256", "run --password ************ --tile 256"),
        ("password: (abc)summer", "password: (***)******"),
        ("git clone https://me:pw@example.org/x", "git clone https://*****@example.org/x"),
        ("mail a.b@example.org now", "mail *************** now"),
        ("at 192.168.1.20:80 and fe80::1", "at ************:80 and *******"),
        ("in /home/arthur/wan and /home/ford/x", "in ~/wan and ~/x"),
        (r"C:\Users\Arthur Dent\wan", r"~\wan"),
        ("on deep-thought, GPU-01234567-89ab-cdef-0123-456789abcdef", "on NAME, GPU-00000000-0000-0000-0000-000000000000"),
        ("mac 00:11:22:aa:bb:cc", "mac *****************"),
    ];
    for (text, want) in cases {
        assert_eq!(redaction().text(text), want);
    }
}

// The name of a key, in the ways that people write it.
fn key() -> impl Strategy<Value = String> {
    let names = [
        "hf_token",
        "HF_TOKEN",
        "apiKey",
        "api-key",
        "openai_api_key",
        "password",
        "DB_PASSWD",
        "secret",
        "clientSecret",
        "aws_secret_access_key",
        "private_key",
        "credentials",
        "auth",
        "cookie",
        "authToken",
        "access_key",
        "Authorization",
    ];
    prop::sample::select(names.to_vec()).prop_map(str::to_owned)
}

// A secret that nothing but its key tells, with characters that formats have uses for.
fn plain() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9!$%&*/?^_+,()\\[\\]{}-]{6,20}[A-Za-z0-9]"
}

// One that is told by itself.
fn telling() -> impl Strategy<Value = String> {
    prop_oneof![
        "hf_[A-Za-z]{16}[A-Z][0-9][a-zA-Z0-9]{16}",
        "sk-[A-Z][a-zA-Z0-9]{24}[0-9]",
        "gh[pousr]_[a-z0-9]{4}[A-Z][0-9a-zA-Z]{30}",
        "AKIA[A-Z0-9]{16}",
        "eyJ[a-zA-Z0-9]{20}\\.eyJ[a-zA-Z0-9_-]{20}\\.[a-zA-Z0-9_-]{20}",
        "glpat-[A-Z][a-zA-Z0-9]{18}",
        "xoxb-[0-9]{10}-[a-zA-Z0-9]{16}",
    ]
}

// A text around it that is no secret.
fn noise() -> impl Strategy<Value = String> {
    let lines = [
        "",
        "# a comment: with, signs = in it",
        "tile: 256",
        "\"tile\": 256,",
        "it's 5\" wide",
        "{ [ (",
        "} ] )",
        "[vae]",
        "\\",
        "name = \"x\"",
        "say 'yes'",
        "  deeper: yes",
        "\t\"list\": [1, 2],",
        "é ü ∆: ø",
    ];
    prop::collection::vec(prop::sample::select(lines.to_vec()), 0..4).prop_map(|lines| lines.join("\n"))
}

// How a key and its value are written in one format: `K` the key, `V` the value.
const KEYED: &[&str] = &[
    "{\"K\": \"V\"}",
    "{\"K\":\"V\",\"tile\":256}",
    "{\"tile\": 1, \"K\" : \"V\"}",
    "{\n  \"K\":\n    \"V\"\n}",
    "{\"a\": {\"K\": {\"b\": \"V\"}}}",
    "{\"K\": [\"x\", \"V\"]}",
    "{\"K\": [\n\"x\",\n\"V\"\n]}",
    "{\"name\": \"K\", \"value\": \"V\"}",
    "{\"value\": \"x\", \"cmd\": [\"--K\", \"V\"]}",
    "{\"env\": [\"K=V\"]}",
    "{\"text\": \"{\\\"K\\\": \\\"V\\\"}\"}",
    "{\"cmd\": \"run --K V --tile 1\"}",
    "{\"cmd\": \"run --K=V\"}",
    "K: V",
    "K: \"V\"",
    "K: 'V'",
    "  K:   V # mine",
    "- K: V",
    "K:\n  V",
    "K:\n- V",
    "K: # mine\n- V",
    "K: |\n  V",
    "K: >-\n  x\n\n  V",
    "K: &a V",
    "K: !!str V",
    "K: x\n  V",
    "{tile: 1, K: V}",
    "a:\n  K:\n    b:\n      V\n",
    "- name: K\n  value: V",
    "args:\n  - --K\n  - V",
    "K for the hub: V",
    "\"K for the hub\": \"V\"",
    "? K\n: V",
    "K = \"V\"",
    "K = 'V'",
    "K = \"\"\"\nV\n\"\"\"",
    "a.K = \"V\"",
    "x = { K = \"V\", tile = 1 }",
    "K = [\"x\", \"V\"]",
    "[K]\nplain = \"V\"",
    "K = V",
    "K=V",
    "export K=V",
    "K=\"V\"",
    "K='x'\"V\"",
    "K=\"x y V\"",
    "export K='V' # mine",
    "set K=V",
    "set \"K=V\"",
    "setx K V",
    "K=V run.py --tile 256",
    "K := V",
    "K += V",
    "$env:K = \"V\"",
    "run --K V",
    "run --K=V --tile 256",
    "run --K \\\n  V",
    "run --K ^\n  V",
    "run --tile 1 --K \"V\"",
    "# K: V",
    "# K=V",
    "os.environ[\"K\"] = \"V\"",
    "os.environ.setdefault(\"K\", \"V\")",
    "f(K=\"V\")",
    "K: str = \"V\"",
    "K = (\n  \"x\"\n  \"V\"\n)",
    "<K>V</K>",
    "<add key=\"K\" value=\"V\"/>",
    "curl -H 'K: Bearer V'",
    "https://example.org/?tile=1&K=V",
    "cat > .K <<EOF\nV\nEOF",
    "K=$(cat <<X\nV\nX\n)",
    "the K is: V",
    "Bearer V",
    "Authorization: Basic V",
    "curl -u me:V x",
    "docker K V",
];

const FREE: &[&str] = &[
    "V",
    "# V",
    "x = \"V\"",
    "{\"x\": \"V\"}",
    "'V',",
    "run V",
    "https://example.org/V",
    "https://example.org/?x%3DV",
    "\"text\\nV\\n\"",
    "x:V",
    "(V)",
    "<V>",
    "https://me:V@example.org",
    "//V@example.org/a",
    "-----BEGIN RSA KEY-----\nV\n-----END RSA KEY-----",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_secret_with_a_key_survives(
        format in prop::sample::select(KEYED.to_vec()), key in key(), secret in plain(), before in noise(), after in noise(), crlf: bool,
    ) {
        let text = format!("{before}\n{}\n{after}\n", format.replace('K', &key).replace("V", &secret));
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        let redacted = redaction().text(&text);
        prop_assert!(!redacted.contains(&secret), "{text}\n=>\n{redacted}");
        // Nor half of it.
        prop_assert!(!redacted.contains(&secret[secret.len() / 2..]) , "{text}\n=>\n{redacted}");
        prop_assert_eq!(redacted.lines().count(), text.lines().count());
    }

    #[test]
    fn no_secret_that_is_given_to_a_key_survives(
        format in prop::sample::select(KEYED.to_vec()), key in prop::sample::select(vec!["key", "Key", "KEY"]), secret in plain(), before in noise(),
        after in noise(),
    ) {
        // As a word among others it is none.
        prop_assume!(!["K for", "K is", "[K]", "setx K V", "docker K V", "cat > .K"].iter().any(|word| format.contains(word)));
        let text = format!("{before}\n{}\n{after}\n", format.replace('K', key).replace("V", &secret));
        let redacted = redaction().text(&text);
        prop_assert!(!redacted.contains(&secret), "{text}\n=>\n{redacted}");
    }

    #[test]
    fn no_secret_that_looks_like_one_survives(
        format in prop::sample::select(FREE.to_vec()), secret in telling(), before in noise(), after in noise(),
    ) {
        let text = format!("{before}\n{}\n{after}\n", format.replace('V', &secret));
        for redacted in [redaction().text(&text), redaction().own(&text)] {
            prop_assert!(!redacted.contains(&secret[6..]), "{text}\n=>\n{redacted}");
            prop_assert_eq!(redacted.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn any_text_is_taken(text in "(?s).{0,200}") {
        redaction().text(&text);
    }

    #[test]
    fn what_formats_have_uses_for_is_taken(text in "([\\\\\"'`:=,<>{}\\[\\]\n -]|token|password|key|value|<<|[a-zé]|sk-|@|/home/|::|-----BEGIN){0,40}") {
        let redacted = redaction().text(&text);
        prop_assert_eq!(redacted.lines().count(), text.lines().count());
    }

    #[test]
    fn no_address_or_name_survives(
        ip in "(1[1-9]|[2-9])\\.[0-9]{2}\\.1[0-9]{2}\\.2[0-4][0-9]", mac in "([0-9a-f]{2}:){5}[0-9a-f]{2}", user in "[a-z]{3,12}", before in noise(),
        around in prop::sample::select(vec!["V", "x=V", "(V)", "\"V\"", "http://V:80/", "at V.", "V,"]),
    ) {
        // What stands around it anyway is no name that survives.
        prop_assume!(!"http".contains(&user));
        for secret in [&ip, &mac] {
            let text = format!("{before}\n{}\n", around.replace('V', secret));
            prop_assert!(!redaction().text(&text).contains(secret), "{text}");
        }
        for home in [format!("/home/{user}/x"), format!("C:\\Users\\{user}\\x"), format!("C:\\\\Users\\\\{user}\\\\x"), format!("/Users/{user}")] {
            let redacted = redaction().own(&around.replace('V', &home));
            prop_assert!(!redacted.contains(&user), "{redacted}");
        }
    }
}
