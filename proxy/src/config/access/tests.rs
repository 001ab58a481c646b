//! Accepted and refused forms of `[access]`.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::{Config, Overrides};

const RULE: &str =
    "[[access.rule]]\nwho = [\"alice\"]\nrepositories = [\"team/*\"]\nactions = [\"pull\"]\n";
const HASH: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn load(&self, lines: &str) -> Result<Config, ConfigError> {
        let text =
            format!("store = \"s\"\nlisten = \"0.0.0.0:5443\"\ninsecure_http = true\n{lines}");
        let path = self.write("wharfd.toml", &text, 0o600);
        Config::load(Some(Path::new(&path)), Overrides::default())
    }

    fn refused(&self, lines: &str) -> String {
        self.load(lines).unwrap_err().to_string()
    }
}

fn users(keys: &str) -> String {
    format!("[access]\nkind = \"users\"\n{keys}\n{RULE}")
}

#[test]
fn a_whole_table_is_read_and_may_listen_anywhere() {
    let folder = Folder::new();
    let passwords = folder.write("htpasswd", &format!("alice:{HASH}\n"), 0o644);
    let (_, line) = crate::access::new_token("ci", Some(60)).unwrap();
    let tokens = folder.write("tokens", &line, 0o644);
    let key = folder.write("key", &"x".repeat(32), 0o640);
    let lines = users(&format!(
        "htpasswd = \"{passwords}\"\ntokens = \"{tokens}\"\ntoken_key_file = \"{key}\"\n\
         public_url = \"https://r.example.com:5443\"\ntoken_lifetime_seconds = 60"
    ));
    let issuer = "[[access.issuer]]\nname = \"github\"\nissuer = \"https://t.example.com\"\n\
                  audience = \"wharfd\"\nsubject = \"repository\"\n\
                  require = { repository_owner = \"contoso\", run = 7 }\n";
    let config = folder.load(&format!("{lines}{issuer}")).unwrap();
    let AccessConfig::Users(read) = &config.access else { panic!("{config:?}") };
    assert_eq!(read.public_url.as_deref(), Some("https://r.example.com:5443"));
    assert_eq!(read.token_lifetime, Duration::from_mins(1));
    assert_eq!(read.issuers[0].audience, ["wharfd"]);
    assert_eq!(read.issuers[0].require["run"], 7);
    let shown = format!("{config:?}");
    assert!(!shown.contains("$2y$") && !shown.contains("xxxx"), "{shown}");
}

#[test]
fn without_users_nobody_but_this_machine_is_let_in() {
    let folder = Folder::new();
    assert!(folder.refused("").contains("[access]"));
    assert!(folder.refused("[access]\nkind = \"open\"\n").contains("--insecure-open"));
    assert!(folder.refused(&format!("[access]\n{RULE}")).contains("kind = \"users\""));
    assert!(folder.refused("[access]\npublic_url = \"https://h\"\n").contains("kind = \"users\""));
}

#[test]
fn rules_that_allow_nothing_or_what_nobody_knows_are_refused() {
    let folder = Folder::new();
    assert!(folder.refused("[access]\nkind = \"users\"\n").contains("[[access.rule]]"));
    let rule = |from: &str, to: &str| folder.refused(&users("").replace(from, to));
    assert!(rule("[\"alice\"]", "[]").contains("empty"));
    assert!(rule("[\"team/*\"]", "[]").contains("line 9"));
    assert!(rule("[\"pull\"]", "[]").contains("empty"));
    assert!(rule("\"pull\"", "\"read\"").contains("unknown variant"));
    assert!(rule("\"alice\"", "\"a b\"").contains("write a name"));
    assert!(rule("\"team/*\"", "\"Team\"").contains("write a repository"));
    assert!(rule("actions", "action").contains("unknown field"));
    assert!(rule("actions = [\"pull\"]", "").contains("missing field"));
}

#[test]
fn files_are_refused_with_their_line() {
    let folder = Folder::new();
    let passwords = folder.write("htpasswd", &format!("alice:{HASH}\nbob:$apr1$x$y\n"), 0o600);
    let text = folder.refused(&users(&format!("htpasswd = \"{passwords}\"")));
    assert!(text.starts_with(&format!("{passwords}, line 2: only bcrypt")), "{text}");
    assert!(!text.contains("apr1"), "{text}");
    let tokens = folder.write("tokens", "\nci md5:x\n", 0o600);
    let text = folder.refused(&users(&format!("tokens = \"{tokens}\"")));
    assert!(text.starts_with(&format!("{tokens}, line 2: write NAME")), "{text}");
    let text = folder.refused(&users("htpasswd = \"/nowhere/htpasswd\""));
    assert!(text.contains("/nowhere/htpasswd"), "{text}");
    let open = folder.write("key", &"x".repeat(32), 0o644);
    let text = folder.refused(&users(&format!("token_key_file = \"{open}\"")));
    assert!(text.starts_with(&open) && text.contains("chmod 600"), "{text}");
    let short = folder.write("short", "x", 0o600);
    let text = folder.refused(&users(&format!("token_key_file = \"{short}\"")));
    assert!(text.contains("openssl rand"), "{text}");
}

#[test]
fn addresses_and_times_that_cannot_be_used_are_refused() {
    let folder = Folder::new();
    for url in ["ftp://h", "https://h/path", "https://u@h", "https://h/?q"] {
        let text = folder.refused(&users(&format!("public_url = \"{url}\"")));
        assert!(text.contains("public_url"), "{url}: {text}");
    }
    for seconds in [0, 59, 3_601] {
        let text = folder.refused(&users(&format!("token_lifetime_seconds = {seconds}")));
        assert!(text.contains("60 to 3600"), "{text}");
    }
}

#[test]
fn issuers_are_asked_in_private_or_not_at_all() {
    let folder = Folder::new();
    let with = |keys: &str| {
        let issuer = format!("[[access.issuer]]\nname = \"i\"\naudience = \"w\"\n{keys}\n");
        folder.load(&format!("{}{issuer}", users("")))
    };
    assert!(with("issuer = \"https://i.example.com\"").is_ok());
    assert!(with("issuer = \"http://127.0.0.1:9\"").is_ok());
    assert!(with("issuer = \"http://i\"\njwks_url = \"https://i/keys\"").is_ok());
    let refused = |keys: &str| with(keys).unwrap_err().to_string();
    for keys in [
        "issuer = \"http://i.example.com\"",
        "issuer = \"https://i\"\njwks_url = \"http://i/keys\"",
    ] {
        assert!(refused(keys).contains("not encrypted"), "{keys}");
    }
    assert!(refused("issuer = \"i\"").contains("https://"));
    assert!(refused("issuer = \"https://i\"\njwks_url = \"file:///etc\"").contains("https://"));
    assert!(refused("issuer = \"https://i\"\nca_file = \"/nowhere\"").contains("/nowhere"));
    let twice = "issuer = \"https://i\"\n[[access.issuer]]\nname = \"i\"\naudience = \"w\"\n\
                 issuer = \"https://j\"";
    assert!(refused(twice).contains("two issuers"));
    let empty = with("issuer = \"https://i\"").map(|_| ());
    assert!(empty.is_ok());
    let no_audience = format!(
        "{}[[access.issuer]]\nname = \"i\"\naudience = []\nissuer = \"https://i\"\n",
        users("")
    );
    assert!(folder.refused(&no_audience).contains("audience"));
}
