use testkit::TempDir;

use super::*;
use crate::client::config::url::Url;
use crate::client::report::tests::sample;

/// How many files `folder` contains.
fn entries(folder: &TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

fn config() -> Config {
    Config::new(Url::parse("ws://127.0.0.1:1/").unwrap())
}

#[test]
fn files_are_replaced_at_the_end() {
    let folder = TempDir::new().unwrap();
    let old = "longer than what will replace it".repeat(1000);
    let mut config = config();
    config.csv = Some(folder.path().join("run.csv"));
    config.hdr = Some(folder.path().join("run.hlog"));
    config.plot = Some(folder.path().join("run.svg"));
    config.compare = vec![folder.path().join("before.json")];
    let csv = config.csv.clone().unwrap();
    fs::write(&csv, &old).unwrap();
    fs::write(&config.compare[0], sample().to_json() + "\n").unwrap();
    let export = Export::open(&config).unwrap();
    assert_eq!(fs::read_to_string(&csv).unwrap(), old);
    export.write(&sample()).unwrap();
    assert_eq!(fs::read_to_string(&csv).unwrap(), csv::of(&sample()));
    let hdr = fs::read_to_string(config.hdr.unwrap()).unwrap();
    assert!(hdr.starts_with("#[Logged with tickertape "), "{hdr}");
    let svg = fs::read_to_string(config.plot.unwrap()).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("before"), "{svg}");
}

#[test]
fn a_run_without_a_result_leaves_files_as_they_were() {
    let folder = TempDir::new().unwrap();
    let mut config = config();
    config.csv = Some(folder.path().join("new.csv"));
    config.hdr = Some(folder.path().join("old.hlog"));
    fs::write(folder.path().join("old.hlog"), "old").unwrap();
    drop(Export::open(&config).unwrap());
    assert!(!folder.path().join("new.csv").exists());
    assert_eq!(
        fs::read_to_string(folder.path().join("old.hlog")).unwrap(),
        "old"
    );
}

#[test]
fn a_run_without_a_connection_leaves_files_as_they_were() {
    let folder = TempDir::new().unwrap();
    let mut config = config();
    config.csv = Some(folder.path().join("old.csv"));
    config.plot = Some(folder.path().join("new.svg"));
    fs::write(folder.path().join("old.csv"), "old").unwrap();
    let mut report = sample();
    report.clients.connected = 0;
    Export::open(&config).unwrap().write(&report).unwrap();
    let old = fs::read_to_string(folder.path().join("old.csv")).unwrap();
    assert_eq!((old.as_str(), entries(&folder)), ("old", 1));
}

#[test]
fn a_link_is_kept_and_temporary_files_are_removed() {
    let folder = TempDir::new().unwrap();
    let (file, link) = (
        folder.path().join("run.csv"),
        folder.path().join("latest.csv"),
    );
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("run.csv", &link).unwrap();
    let mut config = config();
    config.csv = Some(link.clone());
    Export::open(&config).unwrap().write(&sample()).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), csv::of(&sample()));
    assert!(link.is_symlink() && entries(&folder) == 2);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing").join("run.csv");
    let refused = |config: &Config| Export::open(config).unwrap_err().to_string();
    let mut config = config();
    config.csv = Some(missing.clone());
    let name = missing.display();
    let sentence = format!("--csv: cannot write {name}: no such file or directory");
    assert_eq!(refused(&config), sentence);
    config.csv = None;
    config.compare = vec![missing.clone()];
    let sentence = format!("--compare: cannot read {name}: no such file or directory");
    assert_eq!(refused(&config), sentence);
    config.compare = vec![folder.path().join("other.json")];
    fs::write(&config.compare[0], "{\"delivery_curve\":[{\"us\":1}]}").unwrap();
    let name = config.compare[0].display();
    let sentence = format!(
        "--compare: {name} is not a report printed with --json: delivery_curve[0]: missing \
         field `quantile`"
    );
    assert!(
        refused(&config).starts_with(&sentence),
        "{}",
        refused(&config)
    );
}

#[test]
fn two_outputs_never_share_a_file() {
    let folder = TempDir::new().unwrap();
    let (file, link) = (
        folder.path().join("run.svg"),
        folder.path().join("other.svg"),
    );
    std::os::unix::fs::symlink("run.svg", &link).unwrap();
    let mut config = config();
    config.plot = Some(file.clone());
    config.csv = Some(link.clone());
    fs::write(&file, "").unwrap();
    let error = Export::open(&config).unwrap_err().to_string();
    let part = "run.svg is already in use by another option";
    assert!(
        error.starts_with("--plot: ") && error.contains(part),
        "{error}"
    );
    config.csv = None;
    fs::write(&file, sample().to_json()).unwrap();
    config.compare = vec![link];
    let error = Export::open(&config).unwrap_err().to_string();
    assert!(
        error.starts_with("--plot: ") && error.contains(part),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), sample().to_json());
    config.compare = vec!["/dev/null".into()];
    let error = Export::open(&config).unwrap_err().to_string();
    assert_eq!(
        error,
        "--compare: cannot read /dev/null: not a regular file"
    );
}

#[test]
fn a_pipe_without_a_reader_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let mut config = config();
    config.csv = Some(pipe.clone());
    let error = Export::open(&config).unwrap_err().to_string();
    let name = pipe.display();
    assert_eq!(
        error,
        format!("--csv: cannot write {name}: no process is reading it")
    );
    config.csv = None;
    config.compare = vec![pipe.clone()];
    let error = Export::open(&config).unwrap_err().to_string();
    assert!(error.ends_with("not a regular file"), "{error}");
}

#[test]
fn runs_with_equal_names_are_distinguished() {
    let all = ["a/run.json", "b/run.json", "c/other.json"].map(PathBuf::from);
    let labels = all.each_ref().map(|path| label(path, &all));
    assert_eq!(labels, ["a/run.json", "b/run.json", "other"]);
}

#[test]
fn a_full_disk_is_reported() {
    let mut config = config();
    config.csv = Some("/dev/full".into());
    // Only some systems have this device.
    if Path::new("/dev/full").exists() {
        let error = Export::open(&config).unwrap().write(&sample()).unwrap_err();
        assert_eq!(error, "cannot write /dev/full: no space left on device");
    }
}
