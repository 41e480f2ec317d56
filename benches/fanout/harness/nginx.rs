//! nginx with its RTMP module (Debian: nginx, libnginx-mod-rtmp), the peer that anyone can install.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where packages put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_rtmp_module.so",
    "/usr/lib64/nginx/modules/ngx_rtmp_module.so",
    "/usr/local/libexec/nginx/ngx_rtmp_module.so",
];

fn module() -> Option<&'static str> {
    MODULES.into_iter().find(|path| Path::new(path).exists())
}

/// Why nginx cannot be measured here, if it cannot.
pub(super) fn missing() -> Option<&'static str> {
    let mut version = Command::new("nginx");
    version
        .arg("-v")
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    if version.status().is_err() {
        return Some("nginx is not on PATH");
    }
    if module().is_none() {
        return Some("nginx has no RTMP module (Debian: libnginx-mod-rtmp)");
    }
    None
}

/// One process in the foreground that publishes and plays without any extras, but for recordings if there is a place for
/// them; `place` is for its own files.
///
/// # Errors
/// No place for its configuration.
pub(super) fn command(port: u16, place: &Path, recordings: Option<&Path>) -> io::Result<Command> {
    let record = recordings.map_or(String::new(), |place| {
        format!(
            "record all; record_path {}; record_unique on;",
            place.display()
        )
    });
    fs::create_dir_all(place.join("logs"))?;
    let configuration = place.join("nginx.conf");
    let text = format!(
        "load_module {};
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
rtmp {{
    access_log off;
    max_message 10m;
    chunk_size 60000;
    server {{
        listen 127.0.0.1:{port};
        application live {{ live on; {record} }}
    }}
}}
",
        module().unwrap_or("modules/ngx_rtmp_module.so"),
    );
    fs::write(&configuration, text)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(place).arg("-c").arg(&configuration);
    command.args(["-e", "stderr"]).stderr(Stdio::null());
    Ok(command)
}
