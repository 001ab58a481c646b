//! Configurations with too little, too much, or settings useless for customers.

use serde_json::{Value, json};
use wharf_testkit::handmade::{Entry, Handmade, Program, X86_64, set};

use super::{Case, Error, Warning, image};

pub(super) const CASES: &[Case] = &[
    image("IMG-010", Error, "a configuration is no JSON object", |image| {
        image.platforms[1].on_config = |config| *config = json!("a configuration");
    }),
    image("IMG-010", Error, "a configuration has words where a list belongs", |image| {
        image.platforms[1].on_config = |config| config["config"]["Env"] = "A=1".into();
    }),
    image("IMG-010", Error, "a configuration states no architecture", |image| {
        set(&mut image.platforms[1].config, "architecture", "".into());
    }),
    image("IMG-010", Error, "a configuration states no operating system", |image| {
        set(&mut image.platforms[1].config, "os", "".into());
    }),
    image("IMG-011", Error, "there is no command", |image| {
        run(image, "Entrypoint", Value::Null);
        run(image, "Cmd", json!([]));
    }),
    image("IMG-012", Warning, "the command is a shell", |image| {
        let shell = Entry::program("usr/bin/tide-sh", Program::of(X86_64).bytes());
        let link = Entry::symlink("usr/bin/sh", "tide-sh");
        image.platforms[0].base().entries.extend([shell, link]);
        run(image, "Entrypoint", Value::Null);
        run(image, "Cmd", json!(["/usr/bin/sh"]));
    }),
    image("IMG-013", Error, "a port has no number", |image| port(image, &["http"])),
    image("IMG-013", Error, "a port is 0", |image| port(image, &["0/tcp"])),
    image("IMG-013", Error, "a port is too large", |image| port(image, &["65536/tcp"])),
    image("IMG-013", Error, "a port is of a protocol that cannot be opened", |image| {
        port(image, &["8080/sctp"]);
    }),
    image("IMG-014", Error, "a port is reserved", |image| port(image, &["22/tcp"])),
    image("IMG-014", Error, "a port is in a reserved range", |image| port(image, &["20001/udp"])),
    image("IMG-015", Error, "six ports are exposed", |image| {
        port(image, &["8080/tcp", "81/tcp", "82/tcp", "83/tcp", "84/tcp", "85/udp"]);
    }),
    image("IMG-016", Warning, "no user is set", |image| run(image, "User", "".into())),
    image("IMG-016", Warning, "the user is root", |image| run(image, "User", "root".into())),
    image("IMG-016", Warning, "the user is 0 in disguise", |image| {
        run(image, "User", "+00:1200".into());
    }),
    image("IMG-017", Error, "a variable holds a password", |image| {
        run(image, "Env", json!(["PATH=/usr/bin", "TIDE_PASSWORD=high and low"]));
    }),
    image("IMG-017", Error, "a label holds a key of a cloud", |image| {
        let key = format!("AK{}", "IA7TIDE8TIDE9TIDE0");
        let labels = image.platforms[0].run().get_mut("Labels").unwrap();
        set(labels, "dev.quayline.build", key.into());
    }),
    image("IMG-017", Error, "a step of the history holds a token", |image| {
        let token = format!("gl{}", "pat-TideTideTideTideTide");
        image.platforms[0].config["history"][1]["created_by"] =
            format!("RUN fetch --token {token}").into();
    }),
    image("IMG-027", Warning, "a variable starts with an underscore", |image| {
        run(image, "Env", json!(["PATH=/usr/bin", "_TIDE=1"]));
    }),
    image("IMG-027", Warning, "a variable has a dot in its name", |image| {
        run(image, "Env", json!(["PATH=/usr/bin", "tide.level=1"]));
    }),
];

/// Replaces one field in the start configuration of linux/amd64.
pub(super) fn run(image: &mut Handmade, name: &str, value: Value) {
    set(image.platforms[0].run(), name, value);
}

fn port(image: &mut Handmade, ports: &[&str]) {
    let ports = ports.iter().map(|port| ((*port).to_owned(), json!({})));
    run(image, "ExposedPorts", Value::Object(ports.collect()));
}
