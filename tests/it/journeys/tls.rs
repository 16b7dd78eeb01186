//! mosquitto_pub over TLS, with certificates made as the guide says: by password and by certificate; and who is not let in.

use crate::support::{Dir, World, configure, one_gauge, pescaia};
use std::path::Path;
use std::process::{Command, Output};

fn openssl(dir: &Path, words: &str) {
    let done = Command::new("openssl").args(words.split(' ')).current_dir(dir).output().expect("openssl");
    assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A CA of its own, and what it signs: `{name}.key`, `{name}.pem`.
fn authority(dir: &Path, ca: &str, names: &[&str]) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(dir, &format!("req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca} -days 30"));
    for name in names {
        openssl(dir, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName=DNS:{name}"));
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -copy_extensions copy -days 30 -out {name}.pem"
            ),
        );
    }
}

/// Publishes 1.42 m to a channel of `device`.
fn publish(dir: &Path, port: &str, device: &str, more: &str) -> Output {
    let topic = format!("pescaia/v1/demo/{device}/level");
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", port, "-q", "1", "-t", &topic, "-m", "1.42"]).args(more.split(' ')).current_dir(dir);
    Command::new("timeout").arg("10").arg(command.get_program()).args(command.get_args()).current_dir(dir).output().expect("mosquitto_pub")
}

#[test]
fn mosquitto_pub_comes_in_over_tls_by_password_and_by_certificate_and_others_do_not() {
    let dir = Dir::new("tls");
    authority(dir.path(), "ca", &["localhost", "gauge-7"]);
    authority(dir.path(), "other", &["gauge-8"]);
    let by_certificate = |name: &str| {
        format!(
            "[[datastream]]\nid = \"{name}-level\"\nstation = \"prova\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n[[device]]\nid = \"{name}\"\nowner = \"demo\"\nmqtt = {{ certificate_name = \"{name}\" }}\nfeeds = [{{ channel = \"level\", datastream = \"{name}-level\" }}]\n"
        )
    };
    let config = configure(&dir, &(one_gauge() + &by_certificate("gauge-7") + &by_certificate("gauge-8")));
    let tls = "tls = { listen = \"127.0.0.1:0\", certificate = \"localhost.pem\", key = \"localhost.key\", client_ca = \"ca.pem\" }\n";
    let text = std::fs::read_to_string(&config).unwrap().replace("[mqtt]\n", &format!("[mqtt]\n{tls}"));
    std::fs::write(&config, text).unwrap();
    let mut command = pescaia();
    let world = World::start(command.arg("run").arg("--config").arg(&config));
    let port = world.mqtts.as_deref().expect("it says where").rsplit(':').next().unwrap().to_owned();
    let at = |device: &str, more: &str| publish(dir.path(), &port, device, more);
    for (device, more, is_in) in [
        ("prova", "--cafile ca.pem -u prova -P prova", true),
        ("prova", "--cafile ca.pem -u prova -P prova -V 5", true),
        ("prova", "--cafile ca.pem -u prova -P wrong", false),
        ("prova", "--cafile other.pem -u prova -P prova", false),
        ("gauge-7", "--cafile ca.pem --cert gauge-7.pem --key gauge-7.key", true),
        ("gauge-7", "--cafile ca.pem --cert gauge-7.pem --key gauge-7.key -V 5", true),
        ("gauge-7", "--cafile ca.pem", false),
        ("prova", "--cafile ca.pem --cert gauge-7.pem --key gauge-7.key", false),
        ("gauge-8", "--cafile ca.pem --cert gauge-8.pem --key gauge-8.key", false),
    ] {
        let done = at(device, more);
        let heard = String::from_utf8_lossy(&done.stderr).into_owned();
        // A publish that is not authorised closes the connection of MQTT 3.1.1, which mosquitto_pub takes for an error.
        assert_eq!(done.status.success() && heard.is_empty(), is_in, "{device} {more}: {heard}");
    }
    assert_eq!(world.observations("prova-level", "period=PT1H").len(), 2);
    assert_eq!(world.observations("gauge-7-level", "period=PT1H").len(), 2);
    assert_eq!(world.observations("gauge-8-level", "period=PT1H").len(), 0);
}

#[test]
fn passwords_never_leave_the_machine_unencrypted_without_consent() {
    let dir = Dir::new("plaintext");
    let config = configure(&dir, &one_gauge());
    let text = std::fs::read_to_string(&config).unwrap();
    let open = text.replace("[mqtt]\nlisten = \"127.0.0.1:0\"", "[mqtt]\nlisten = \"0.0.0.0:0\"");
    std::fs::write(&config, open).unwrap();
    let done = pescaia().arg("run").arg("--config").arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("unencrypted") && said.contains("allow_plaintext = true"), "{said}");
}
