//! The command line: arguments → the library → what is printed, and the exit code.
//!
//! One module for each command; what several share stands in `options`, `question` and `installation`. Only this
//! module and those below it print and end the program.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Once;

use clap::{Parser, Subcommand, ValueEnum};

mod apply;
mod author;
mod both;
mod card;
mod check;
mod completions;
mod doctor;
mod error;
mod explain;
mod facts;
mod fit;
mod flight;
mod history;
mod impact;
mod inputs;
mod installation;
mod load;
mod machine;
mod man;
mod new;
mod options;
mod plan;
mod question;
mod rollback;
mod schema;
mod screen;
mod test;
mod validate;
mod verify;

use error::CliError;
use screen::Screen;

use crate::facts::probe::nvml;
use crate::log::{self, Run, Start};
use crate::report::findings;
use crate::validate::start;

/// Derives every setting of the Wan2.2 video models from this machine, explains each, and writes them into the
/// config files of your installation, reversibly
///
/// The settings come from policies: YAML files with small expressions. Those that come with the program know most
/// machines; add your own with --policies, or in ~/.config/wan22-policy/policies.d.
#[derive(Debug, Parser)]
#[command(name = "wan22-policy", version, after_long_help = AFTER_HELP, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Whether to use colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(help_heading = "Output", hide_possible_values = true)]
    color: Color,
}

const AFTER_HELP: &str = "\
First steps:
  wan22-policy facts                         what is known of this machine
  wan22-policy plan                          every setting, and the policy that gave it
  wan22-policy explain vae.tile_size         how one of them came about
  wan22-policy fit                           which models and sizes fit, and by how much not
  wan22-policy apply --root DIR --dry-run    what would change in the installation in DIR
  wan22-policy apply --root DIR              change it
  wan22-policy rollback --root DIR           take that back, byte for byte
  wan22-policy load --model DIR              bring a model into the page cache before a run
  wan22-policy validate --root DIR           whether it is ready to make videos
  wan22-policy doctor --bundle               one file with what a bug report needs, without secrets

Environment:
  WAN22_POLICY_LOG   the folder of the log (JSON lines, 5 MiB at most), or `off`
                     [default: wan22-policy in $XDG_STATE_HOME or ~/.local/state; on Windows in %LOCALAPPDATA%]
  NO_COLOR           no colours

Exit codes:
  0  fine, also when something was changed
  1  failed: a file cannot be read or written, or is not YAML
  2  usage: wrong arguments, no known stack in the root, or no Wan model where `load` looks
  3  refused: a finding at error, such as a policy that is wrong or a model that does not fit
  4  differs: `verify` found drift, `plan --exit-code` changes to make, `test` and `impact` what policies change";

#[derive(Debug, Subcommand)]
enum Command {
    Facts(facts::Facts),
    Plan(plan::Plan),
    Explain(explain::Explain),
    Fit(fit::Fit),
    Load(load::Load),
    Apply(apply::Apply),
    Verify(verify::Verify),
    Validate(validate::Validate),
    Rollback(rollback::Rollback),
    History(history::History),
    Doctor(doctor::Doctor),
    Check(check::Check),
    Test(test::Test),
    Impact(impact::Impact),
    New(new::New),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
}

/// How a command ended; the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: fine, also when something was changed.
    Fine = 0,
    /// 1: a file cannot be read or written, or is not YAML at all.
    Failed = 1,
    /// 2: the arguments are wrong, or there is no known stack in the root, or no model where `load` looks.
    Usage = 2,
    /// 3: a finding at error.
    Refused = 3,
    /// 4: `verify` found drift, `plan --exit-code` changes to make, `test` and `impact` what policies change.
    Differs = 4,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    fn on(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// Runs one command line, the program's name first, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let asked = nvml::apart::answer(&arguments, out)
        .or_else(|| nvml::sample::answer(&arguments, out))
        .or_else(|| start::answer(&arguments));
    if let Some(answered) = asked {
        return if answered.is_ok() { Exit::Fine } else { Exit::Failed };
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a pipe that was closed is none either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let mut screen =
        Screen::new((out, cli.color.on(io::stdout().is_terminal())), (err, cli.color.on(io::stderr().is_terminal())));
    say_panics();
    let folder = log::folder();
    let run = Run::begin(
        folder.as_deref(),
        Start { command: cli.command.name(), arguments: &arguments[1..], flight: cli.command.flight(&arguments[1..]) },
    );
    let cut_off = folder.as_deref().map(log::left_behind).unwrap_or_default();
    let cut_off = flight::findings(&cut_off, cli.command.recovers());
    if !cut_off.is_empty() {
        log::found(&cut_off);
        screen.complain(&findings::render(&cut_off, screen.error_paint));
    }
    let exit = match cli.command.run(&mut screen) {
        Ok(exit) => exit,
        Err(error) => error.report(&mut screen, cli.command.is_json()),
    };
    run.end(exit as u8);
    exit
}

// A panic is a mistake of this program: it is logged, and said how to report.
fn say_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            usual(panic);
            log::panicked(panic);
            let text = "\nthis is a mistake of wan22-policy, not yours: please report it with the file that `wan22-policy doctor \
                        --bundle` makes\n";
            let _ = io::stderr().write_all(text.as_bytes());
        }));
    });
}

impl Command {
    fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        match self {
            Self::Facts(command) => command.run(screen),
            Self::Plan(command) => command.run(screen),
            Self::Explain(command) => command.run(screen),
            Self::Fit(command) => command.run(screen),
            Self::Load(command) => command.run(screen),
            Self::Apply(command) => command.run(screen),
            Self::Verify(command) => command.run(screen),
            Self::Rollback(command) => command.run(screen),
            Self::History(command) => command.run(screen),
            Self::Doctor(command) => command.run(screen),
            Self::Validate(command) => command.run(screen),
            Self::Check(command) => command.run(screen),
            Self::Test(command) => command.run(screen),
            Self::Impact(command) => command.run(screen),
            Self::New(command) => command.run(screen),
            Self::Schema(command) => command.run(screen),
            Self::Completions(command) => command.run(screen),
            Self::Man(command) => command.run(screen),
        }
    }

    // Whether a refusal is printed as JSON.
    fn is_json(&self) -> bool {
        match self {
            Self::Facts(command) => command.is_json(),
            Self::Plan(command) => command.output.is_json(),
            Self::Explain(command) => command.output.is_json(),
            Self::Fit(command) => command.output.is_json(),
            Self::Load(command) => command.output.is_json(),
            Self::Apply(command) => command.output.is_json(),
            Self::Verify(command) => command.output.is_json(),
            Self::Rollback(command) => command.output.is_json(),
            Self::History(command) => command.output.is_json(),
            Self::Doctor(command) => command.output.is_json(),
            Self::Validate(command) => command.output.is_json(),
            Self::Check(command) => command.is_json(),
            Self::Test(command) => command.output.is_json(),
            Self::Impact(command) => command.is_json(),
            Self::New(_) | Self::Schema(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }
}
