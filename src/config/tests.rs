use super::*;

fn toml(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    match config.apply_toml("m.toml", text) {
        Ok(()) => Ok(config),
        Err(error) => Err(error.to_string()),
    }
}

/// Another value than `setting` that `kind` takes.
fn another(kind: Kind, setting: &Setting) -> Setting {
    match (kind, setting) {
        (Kind::Whole { min, max }, Setting::Whole(number)) => {
            Setting::Whole(if *number == max { min } else { max })
        }
        (Kind::Time { min, max }, Setting::Time(time)) => {
            Setting::Time(if *time == max { min } else { max })
        }
        (Kind::Size { min, max }, Setting::Size(bytes)) => {
            Setting::Size(if *bytes == max { min } else { max })
        }
        (Kind::Flag, Setting::Flag(flag)) => Setting::Flag(!flag),
        (Kind::Word(words), Setting::Word(word)) => {
            let other = words.iter().find(|other| *other != word);
            Setting::Word(other.unwrap_or(word))
        }
        (Kind::Addresses, _) => Setting::Addresses(vec![
            "127.0.0.1:0".parse().unwrap(),
            "[::1]:7".parse().unwrap(),
        ]),
        (Kind::HttpListen, _) => Setting::HttpListen(HttpListen::Off),
        (Kind::Token, _) => Setting::Token(Token::new("0123456789abcdef").unwrap()),
        (Kind::Directory, _) => Setting::Directory(Directory::new("/srv/recordings").unwrap()),
        (Kind::Pattern, _) => Setting::Pattern("{stream}.{n}".parse().unwrap()),
        (kind, other) => unreachable!("{kind:?} has {other:?}"),
    }
}

fn key(name: &str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).unwrap()
}

#[test]
fn every_key_is_read_from_every_layer() {
    for key in KEYS {
        let before = key.value(&Config::default());
        assert!(key.kind.admits(&before), "{key}: its default");
        let wanted = another(key.kind, &before);
        let name = match key.section {
            Section::Application => "name = \"*\"\n",
            _ => "",
        };
        let config = toml(&format!("{}\n{name}{} = {wanted}", key.section, key.name)).unwrap();
        assert_eq!(key.value(&config), wanted, "{key} in the file");
        assert_eq!(config.check(), Ok(()));
        let text = wanted.to_string().replace(['[', ']', '"'], "");
        let text = match key.kind {
            // The brackets of an address are its own.
            Kind::Addresses => "127.0.0.1:0, [::1]:7".to_owned(),
            _ => text,
        };
        let mut config = Config::default();
        config.apply_env([(key.variable(), text.clone())]).unwrap();
        assert_eq!(key.value(&config), wanted, "{}", key.variable());
        let parts: Vec<&str> = text.split(", ").collect();
        let mut config = Config::default();
        config.apply_flag(key, &parts).unwrap();
        assert_eq!(key.value(&config), wanted, "--{}", key.flag());
    }
}

#[test]
fn keys_are_told_apart() {
    for (index, key) in KEYS.iter().enumerate() {
        for other in &KEYS[..index] {
            assert_ne!(key, other);
            assert_ne!(key.global, other.global, "{key} and {other}");
        }
        assert!(!key.about.is_empty() && key.about.ends_with('.'), "{key}");
    }
}

#[test]
fn the_printed_default_is_the_default_and_says_every_key() {
    let text = default_file();
    assert_eq!(toml(&text), Ok(Config::default()), "{text}");
    for key in KEYS {
        let line = format!("\n{} = {}\n", key.name, key.value(&Config::default()));
        assert!(text.contains(&line), "{line} in {text}");
    }
    for line in text.lines() {
        assert!(line.len() <= 100, "{line}");
    }
}

#[test]
fn the_readme_says_every_key() {
    let readme = include_str!("../../README.md");
    for key in KEYS {
        let line = format!("\n{} = ", key.name);
        assert!(readme.contains(&line), "{key} is missing in README.md");
    }
}

#[test]
fn values_are_what_they_say() {
    let config = toml(
        "# some\n[server]\nlisten = [\"127.0.0.1:0\", \"[::1]:1935\"]\nchunk_size = 4_096\npeer_bandwidth = 0x10000\n\
         drain = \"1500ms\"\n[logging]\nlevel = \"debug\"\n",
    )
    .unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.listen[1].to_string(), "[::1]:1935");
    assert_eq!(config.chunk_size, 4_096);
    assert_eq!(config.peer_bandwidth, 65_536);
    assert_eq!(config.drain, Duration::from_millis(1_500));
    assert_eq!(config.log, LogLevel::Debug);
    assert_eq!(toml(""), Ok(Config::default()));
    let drain = |text: &str| toml(&format!("[server]\ndrain = \"{text}\"")).map(|it| it.drain);
    assert_eq!(drain("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(drain("0ms"), Ok(Duration::ZERO));
    let bytes = |text: &str| {
        toml(&format!("[limits]\nmedia_bytes = {text}")).map(|it| it.limits.media_bytes)
    };
    assert_eq!(bytes("65536"), Ok(65_536));
    assert_eq!(bytes("\"3KiB\""), Ok(3_072));
    assert_eq!(bytes("\"2MiB\""), Ok(2 << 20));
    assert_eq!(bytes("\"1GiB\""), Ok(1 << 30));
    for wrong in [
        "-1",
        "\"\"",
        "\"KiB\"",
        "\"1KB\"",
        "\"1.5MiB\"",
        "\"99999999999999GiB\"",
        "true",
    ] {
        assert!(bytes(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "5", "s", "-1s", "1.5s", "5 s", "99999999999999999999s"] {
        assert!(drain(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn refusals_tell_place_expectation_and_what_came() {
    for (text, message) in [
        (
            "[server]\nchunk_sise = 1\n",
            "m.toml:2:1: unknown key `chunk_sise`; did you mean `chunk_size`? [server] takes listen, shards, runtime, \
             chunk_size, strict_extended_timestamps, peer_bandwidth, window_ack_size, drain, http, http_token, vod",
        ),
        (
            "[logging]\nshards = 1\n",
            "m.toml:2:1: `shards` belongs in [server], not in [logging]",
        ),
        (
            "shards = 1\n",
            "m.toml:1:1: `shards` belongs in a section: `shards` in [server]",
        ),
        (
            "log = \"info\"\n",
            "m.toml:1:1: `log` belongs in a section: `level` in [logging]",
        ),
        (
            "[sever]\n",
            "m.toml:1:2: unknown section `sever`; did you mean `server`? There are server, limits, logging, application",
        ),
        (
            "[server]\n  chunk_size = \"big\"\n",
            "m.toml:2:16: chunk_size: expected a whole number from 1 to 65536, got \"big\"",
        ),
        (
            "server.chunk_size = 70000",
            "m.toml:1:21: chunk_size: expected a whole number from 1 to 65536, got 70000",
        ),
        (
            "[server]\nstrict_extended_timestamps = 1",
            "m.toml:2:30: strict_extended_timestamps: expected true or false, got 1",
        ),
        (
            "[server]\nshards = -1",
            "m.toml:2:10: shards: expected a whole number from 0 to 64, got -1",
        ),
        (
            "[server]\nshards = 1.5",
            "m.toml:2:10: shards: expected a whole number from 0 to 64, got a number with a fraction",
        ),
        (
            "[server]\nlisten = [\"0.0.0.0:1935\",\n  \"somewhere\"]",
            "m.toml:3:3: listen: expected an address and port such as 0.0.0.0:1935 or [::]:1935, got \"somewhere\"",
        ),
        (
            "[server]\nlisten = []",
            "m.toml:2:10: listen: expected an address and port such as 0.0.0.0:1935 or [::]:1935, got an empty list",
        ),
        (
            "[[application]]\nname = \"x\"\nmerge = \"2s\"",
            "m.toml:3:9: merge: expected a time from \"0s\" to \"1s\", such as \"50ms\", \"5s\" or \"2m\", got \"2s\"",
        ),
        (
            "[logging]\nlevel = true",
            "m.toml:2:9: level: expected \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", got true",
        ),
        (
            "server = 1",
            "m.toml:1:10: expected a section [server], got 1",
        ),
        (
            "[application]\nname = \"x\"",
            "m.toml:1:1: each application is a section [[application]], in two brackets",
        ),
        (
            "[[application]]\nmerge = \"1ms\"",
            "m.toml:1:1: this application has no name: expected name = an application's name such as \"live\", or how \
             names begin and a star, such as \"live/*\" or \"*\"",
        ),
        (
            "[[application]]\nname = \"li*ve\"",
            "m.toml:2:8: name: expected an application's name such as \"live\", or how names begin and a star, such as \
             \"live/*\" or \"*\", got \"li*ve\"",
        ),
        (
            "[[application]]\nname = \"live\"\n[[application]]\nname = \"live\"",
            "m.toml:4:8: the application \"live\" has a section already, at m.toml:2:8",
        ),
        (
            "[[application]]\nname = \"live\"\nshards = 1",
            "m.toml:3:1: `shards` belongs in [server], not in [[application]]",
        ),
    ] {
        assert_eq!(toml(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn every_mistake_is_found_in_the_order_of_the_text() {
    let text = "[server]\nshards = \"all\"\nx = 1\ndrain = \"1h\"\n\n[[application]]\nname = \"a\"\ngop_cache = -1\n\
                [[application]]\nname = \"a\"\ny = 2\n[limits]\nz = 1\n";
    let errors = Config::default().read_toml("m.toml", text);
    let places: Vec<_> = errors.iter().map(|error| error.place.to_string()).collect();
    let expected = ["2:10", "3:1", "4:9", "8:13", "10:8", "11:1", "13:1"];
    assert_eq!(places, expected.map(|place| format!("m.toml:{place}")));
}

#[test]
fn broken_toml_has_a_place_too_and_hides_no_other_mistake() {
    let error = toml("[logging]\nlevel = \"info\n").unwrap_err();
    assert!(error.starts_with("m.toml:2:"), "{error}");
    assert!(error.contains("not TOML"), "{error}");
    let error = toml("[server]\nshards = 1\nshards = 2\n").unwrap_err();
    assert!(error.starts_with("m.toml:3:1: "), "{error}");
    let errors = Config::default().read_toml("m.toml", "[server]\nshards = \ndrain = 5\nx = [1,\n");
    let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(
        said[0].starts_with("m.toml:2:") && said[0].contains("not TOML"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("m.toml:3:9: drain: expected"),
        "{said:?}"
    );
    assert!(said[2].starts_with("m.toml:4:"), "{said:?}");
}

#[test]
fn columns_count_characters_not_bytes() {
    let error = toml("\"größe\" = 1").unwrap_err();
    assert!(
        error.starts_with("m.toml:1:1: unknown section `größe`"),
        "{error}"
    );
    let error = toml("server.listen = [\"ä\", 7]").unwrap_err();
    assert!(error.starts_with("m.toml:1:18: listen: "), "{error}");
    let error = toml("server.listen = [\"1.1.1.1:1\", # ä\n \"ä\"]").unwrap_err();
    assert!(error.starts_with("m.toml:2:2: listen: "), "{error}");
}

#[test]
fn later_layers_win() {
    let mut config = Config::default();
    config
        .apply_toml(
            "m.toml",
            "[server]\nshards = 1\nchunk_size = 200\n[logging]\nlevel = \"warn\"",
        )
        .unwrap();
    let variables = [
        ("MILLSTREAM_CHUNK_SIZE", "300"),
        ("MILLSTREAM_LOG", "error"),
        ("MILLSTREAM_STRICT_EXTENDED_TIMESTAMPS", "true"),
        ("MILLSTREAM_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("MILLSTREAM_PORT", "tcp://10.0.0.1:1935"),
        ("PATH", "/bin"),
    ];
    config
        .apply_env(variables.map(|(name, text)| (name.to_owned(), text.to_owned())))
        .unwrap();
    config.apply_flag(key("level"), &["trace"]).unwrap();
    assert_eq!((config.shards, config.chunk_size), (1, 300));
    assert!(config.strict_extended_timestamps);
    assert_eq!(config.log, LogLevel::Trace);
    assert_eq!(config.listen.len(), 2);
}

#[test]
fn what_an_application_says_itself_stays_under_a_flag() {
    let mut config =
        toml("[[application]]\nname = \"live\"\nmerge = \"5ms\"\n[[application]]\nname = \"*\"\nmerge = \"6ms\"")
            .unwrap();
    config.apply_flag(key("merge"), &["7ms"]).unwrap();
    let table = config.applications.table();
    assert_eq!(table.of("live").merge, Duration::from_millis(5));
    assert_eq!(table.of("other").merge, Duration::from_millis(7));
}

#[test]
fn the_other_layers_say_where_too() {
    let mut config = Config::default();
    let error = config
        .apply_env([("MILLSTREAM_SHARDS".to_owned(), "many".to_owned())])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable MILLSTREAM_SHARDS: expected a whole number from 0 to 64, got \"many\""
    );
    let error = config.apply_flag(key("chunk_size"), &["0"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--chunk-size: expected a whole number from 1 to 65536, got 0"
    );
    let error = config
        .apply_flag(key("strict_extended_timestamps"), &["yes"])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "--strict-extended-timestamps: expected true or false, got \"yes\""
    );
    for chunk_size in [1, limits::CHUNK_SIZE_SEND_MAX] {
        config.chunk_size = chunk_size;
        assert_eq!(config.check(), Ok(()));
    }
    config.chunk_size = 0;
    assert_eq!(
        config.check().unwrap_err().to_string(),
        "Config: chunk_size: expected a whole number from 1 to 65536, got 0"
    );
}

#[test]
fn beyond_this_machine_operators_need_a_token() {
    let checked = |address: &str, token: &str| {
        toml(&format!(
            "[server]\nhttp = \"{address}\"\nhttp_token = \"{token}\""
        ))
        .unwrap()
        .check()
        .map_err(|error| error.to_string())
    };
    for address in [
        "auto",
        "off",
        "127.0.0.1:0",
        "[::1]:8935",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert_eq!(checked(address, ""), Ok(()), "{address}");
    }
    for address in ["0.0.0.0:8935", "[::]:8935", "192.0.2.1:80"] {
        assert!(
            checked(address, "").unwrap_err().contains("http_token"),
            "{address}"
        );
        assert_eq!(checked(address, "0123456789abcdef"), Ok(()), "{address}");
    }
}

#[test]
fn a_token_is_never_told() {
    let said = toml("[server]\nhttp_token = \"hunter2\"").unwrap_err();
    assert!(
        said.contains("http_token: expected") && !said.contains("hunter2"),
        "{said}"
    );
}
