//! A container's user: reads `/etc/passwd`, `/etc/group` and `/etc/shadow` as engines do, and
//! checks a user's permissions on a file.
//!
//! Invariant: any bytes give accounts, and no more than [`LINES_MAX`] of them are looked at.

use super::files::File;

/// Most lines read of such a file; a large directory dumped into an image has some ten thousands.
const LINES_MAX: usize = 100_000;
/// The largest number of a user or group engines take.
const ID_MAX: u32 = i32::MAX as u32;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    pub name: &'a [u8],
    /// The number of the user.
    pub user: u32,
    /// The number of the main group.
    pub group: u32,
    /// The program started for a login; empty means `/bin/sh`.
    pub shell: &'a [u8],
}

/// A line of `/etc/shadow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Password<'a> {
    pub name: &'a [u8],
    /// The hash: one with `!` or `*` in front locks the account, an empty one asks for no password.
    pub hash: &'a [u8],
}

/// A user with groups, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUser {
    pub user: u32,
    /// The groups, the main one first.
    pub groups: Vec<u32>,
}

/// A name missing in the file, or a number engines refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingAccount {
    /// Of a user.
    User(String),
    /// Of a group.
    Group(String),
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).take(LINES_MAX)
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b':')
}

/// A number of decimal digits; any other text counts as 0, as engines read it.
fn number(text: Option<&[u8]>) -> u32 {
    text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0)
}

/// The accounts of `/etc/passwd`.
pub fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = fields(line);
        let name = fields.next()?;
        let (user, group) = (number(fields.nth(1)), number(fields.next()));
        Some(Account { name, user, group, shell: fields.nth(2).unwrap_or_default() })
    })
}

/// The passwords of `/etc/shadow`.
pub fn passwords(shadow: &[u8]) -> impl Iterator<Item = Password<'_>> {
    lines(shadow).filter_map(|line| {
        let mut fields = fields(line);
        Some(Password { name: fields.next()?, hash: fields.next()? })
    })
}

/// The groups of `/etc/group`: name, number, names of members.
fn groups(group: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
    lines(group).filter_map(|line| {
        let mut fields = fields(line);
        let name = fields.next()?;
        Some((name, number(fields.nth(1)), fields.next().unwrap_or_default()))
    })
}

/// The user and groups of `USER[:GROUP]` in a configuration: names by the files of the image,
/// numbers as they are.
pub fn resolve(text: &str, passwd: &[u8], group: &[u8]) -> Result<ContainerUser, MissingAccount> {
    let (user, main_group) = text.split_once(':').unwrap_or((text, ""));
    let fits = |account: &Account<'_>| match user {
        "" => account.user == 0,
        user => account.name == user.as_bytes() || account.user.to_string() == user,
    };
    let account = accounts(passwd).find(fits);
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= ID_MAX);
    let (id, default_group) = match account {
        Some(account) => (account.user, account.group),
        None if user.is_empty() => (0, 0),
        None => (number(user).ok_or_else(|| MissingAccount::User(user.to_owned()))?, 0),
    };
    if !main_group.is_empty() {
        let named = groups(group)
            .find(|(name, id, _)| *name == main_group.as_bytes() || id.to_string() == main_group);
        let main = named.map(|(_, id, _)| id).or_else(|| number(main_group));
        let main = main.ok_or_else(|| MissingAccount::Group(main_group.to_owned()))?;
        return Ok(ContainerUser { user: id, groups: vec![main] });
    }
    let mut all = vec![default_group];
    if let Some(account) = account {
        let is_member = |members: &[u8]| members.split(|c| *c == b',').any(|it| it == account.name);
        all.extend(groups(group).filter(|(.., members)| is_member(members)).map(|(_, id, _)| id));
    }
    Ok(ContainerUser { user: id, groups: all })
}

impl ContainerUser {
    /// Root, before any file was asked.
    #[must_use]
    pub fn root() -> Self {
        Self { user: 0, groups: vec![0] }
    }

    /// Whether this user may start a file, or walk through a folder. Root needs one execute bit of
    /// any set.
    #[must_use]
    pub fn may_execute(&self, file: &File<'_>) -> bool {
        self.may(file, 0o1) && (self.user != 0 || file.mode() & 0o111 != 0)
    }

    /// Whether this may read a file.
    #[must_use]
    pub fn may_read(&self, file: &File<'_>) -> bool {
        self.may(file, 0o4)
    }

    /// The first matching set of permissions decides (owner, group, others), even if a later set
    /// gives more.
    fn may(&self, file: &File<'_>, wish: u32) -> bool {
        let (user, group) = file.owner();
        let shift = if self.user == user {
            6
        } else if self.groups.contains(&group) {
            3
        } else {
            0
        };
        self.user == 0 || file.mode() >> shift & wish != 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/bash\n# note\napp:x:999:998::/app:/sbin/nologin\n\
        12:x:77:77::/:\n\nbroken\n";
    const GROUP: &[u8] = b"root:x:0:\napp:x:998:\ndocker:x:50:other,app\nlogs:x:60:application\n";

    fn who(text: &str) -> Result<(u32, Vec<u32>), MissingAccount> {
        resolve(text, PASSWD, GROUP).map(|identity| (identity.user, identity.groups))
    }

    #[test]
    fn users_are_resolved_as_engines_do() {
        assert_eq!(who(""), Ok((0, vec![0])));
        assert_eq!(who("app"), Ok((999, vec![998, 50])));
        assert_eq!(who("999"), Ok((999, vec![998, 50])));
        assert_eq!(who("12"), Ok((77, vec![77])), "a name of digits is a name");
        assert_eq!(who("1000"), Ok((1000, vec![0])));
        assert_eq!(who("1000:50"), Ok((1000, vec![50])));
        assert_eq!(who("app:docker"), Ok((999, vec![50])));
        assert_eq!(who("1000:2000"), Ok((1000, vec![2000])));
        assert_eq!(who("web"), Err(MissingAccount::User("web".to_owned())));
        assert_eq!(who("app:web"), Err(MissingAccount::Group("web".to_owned())));
        assert_eq!(who("4294967295"), Err(MissingAccount::User("4294967295".to_owned())));
        assert_eq!(who("-1"), Err(MissingAccount::User("-1".to_owned())));
        assert!(resolve("root", b"", b"").is_err(), "without a file there are no names");
        assert_eq!(resolve("", b"", b"").unwrap(), ContainerUser::root());
    }

    #[test]
    fn passwords_are_read_with_their_names() {
        let all: Vec<_> = passwords(b"root:*:1::\napp:$6$a$b:1::\nx\n:!:\n").collect();
        assert_eq!(
            all.iter().map(|at| at.name).collect::<Vec<_>>(),
            [b"root".as_slice(), b"app", b""]
        );
        assert_eq!(
            all.iter().map(|at| at.hash).collect::<Vec<_>>(),
            [b"*".as_slice(), b"$6$a$b", b"!"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_accounts(
            text in "\\PC{0,8}(:\\PC{0,8})?",
            passwd in prop::collection::vec(any::<u8>(), 0..200),
            group in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = resolve(&text, &passwd, &group);
            prop_assert!(accounts(&passwd).count() <= 200 && passwords(&group).count() <= 200);
        }
    }
}
