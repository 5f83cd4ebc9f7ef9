# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ctedge_global_optspecs
    string join \n config= set= h/help V/version
end

function __fish_ctedge_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ctedge_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ctedge_using_subcommand
    set -l cmd (__fish_ctedge_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ctedge -n "__fish_ctedge_needs_command" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_needs_command" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_needs_command" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_needs_command" -s V -l version -d 'Print version'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "run" -d 'Runs the daemon until it is told to stop'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "process" -d 'Runs the model on a scan without the daemon and prints the result'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "inspect" -d 'Shows what a file or folder holds: series, geometry, HU range, problems'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "status" -d 'Shows how the daemon of this device is: health, counters, queue, outbox, model, last result'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "watch" -d 'Prints the messages of this device\'s topics as they arrive'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "model" -d 'Shows and changes the models of this device: install, activate, rollback'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "send" -d 'Sends a command to this device over the broker and says what becomes of it'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "check-config" -d 'Checks the configuration and prints every problem; `--print` shows it as it is meant'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "doctor" -d 'Checks this device: folders, ONNX Runtime, model, broker'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "bench" -d 'Times the model on this device, and compares its numbers with the processor\'s'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "replay" -d 'Does a recorded result once more from the kept files, and says whether the same comes out'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "diag" -d 'Writes a bundle for support: what runs and how, without names of people, machines and places'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "audit" -d 'Shows the audit log, or checks that nothing in it was changed, left out or cut off'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "schema" -d 'Prints the contract for machines: JSON Schemas of the messages, and the topics as AsyncAPI'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "manual" -d 'Writes man pages and completions for shells, for those who package this'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "pseudonym" -d 'Prints the pseudonym of a UID under this site\'s key'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "key" -d 'The site\'s key of pseudonyms: its generations, a new one, and the end of the old ones'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "worker" -d 'A worker process of the daemon; not for people'
complete -c ctedge -n "__fish_ctedge_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand run" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand run" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand run" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l bundle -d 'Another model than the one that counts on this device: its .minisig lies beside it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l montage -d 'A page for each series as PNG: key slices with what speaks for each flag, flags and draft. With several series each page has its pseudonym in its name' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l json -d 'The result messages as the daemon would publish them, one JSON object a line'
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -l drafts -d 'With --json the draft reports as well, each in the line after its result'
complete -c ctedge -n "__fish_ctedge_using_subcommand process" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand inspect" -l montage -d 'Folder for pictures, named by series key: `-volume.png`, and `-tensor.png` as the configured model sees it. They show the patient: treat them as you treat the scan' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand inspect" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand inspect" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand inspect" -l json -d 'One JSON object a series and line'
complete -c ctedge -n "__fish_ctedge_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -l json -d 'One JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -l watch -d 'Again every second until it is interrupted'
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -l monitor -d 'One line and an exit status for a monitoring system'
complete -c ctedge -n "__fish_ctedge_using_subcommand status" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -l filter -d 'Topics below this device\'s root, e.g. `result/#`' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -l results -d 'Stop after this many results' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -l json -d 'One JSON object a line: topic, retained and payload'
complete -c ctedge -n "__fish_ctedge_using_subcommand watch" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -f -a "list" -d 'Shows what is in the two slots'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -f -a "install" -d 'Takes a bundle: NAME-VERSION.ctb with its .minisig beside it, or a folder that holds one'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -f -a "activate" -d 'Has the model that is staged or in the shadow count'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -f -a "rollback" -d 'Has the model in the other slot count again'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and not __fish_seen_subcommand_from list install activate rollback help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from list" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from list" -l json -d 'One JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l mode -d 'What becomes of it' -r -f -a "activate\t'It counts from now on, on probation'
shadow\t'It reads every series beside the one that counts, and is compared with it'
stage\t'It is kept'"
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l permit -d 'Permit to go back to an older release (`ctedge-trainer permit`); its .minisig beside it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l wait-s -d 'Seconds to wait' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l no-wait -d 'Only enters it, and does not wait for what becomes of it'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -l json -d 'The last state as one JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -l wait-s -d 'Seconds to wait' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -l no-wait -d 'Only enters it, and does not wait for what becomes of it'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -l json -d 'The last state as one JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from activate" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -l wait-s -d 'Seconds to wait' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -l no-wait -d 'Only enters it, and does not wait for what becomes of it'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -l json -d 'The last state as one JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "list" -d 'Shows what is in the two slots'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "install" -d 'Takes a bundle: NAME-VERSION.ctb with its .minisig beside it, or a folder that holds one'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "activate" -d 'Has the model that is staged or in the shadow count'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Has the model in the other slot count again'
complete -c ctedge -n "__fish_ctedge_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l param -d 'A parameter; the value is JSON, or else a text. May be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l expires-s -d 'Seconds after which the command is not to be begun any more' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l issuer -d 'Who asks' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l id -d 'Id of the command [default: a random one]. The same id again only asks what became of it' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l dry-run -d 'Only asks what would be done'
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l wait -d 'Waits until the command has ended'
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -l json -d 'One JSON object a line: each state as it comes'
complete -c ctedge -n "__fish_ctedge_using_subcommand send" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand check-config" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand check-config" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand check-config" -l print -d 'Print the whole configuration with defaults filled in, as TOML'
complete -c ctedge -n "__fish_ctedge_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand doctor" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand doctor" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand doctor" -l json -d 'One JSON object with all checks'
complete -c ctedge -n "__fish_ctedge_using_subcommand doctor" -l first-day -d 'What the device itself is as well: kernel, power, clocks, sensors, GPU, and the model on each provider alone'
complete -c ctedge -n "__fish_ctedge_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l bundle -d 'A model bundle, in place of the one that counts on this device' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l runs -d 'Runs that are timed' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l drafts -d 'Drafts that are timed' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -l json -d 'One JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand bench" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand replay" -l bundle -d 'The bundle that made it, where another is in use now' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand replay" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand replay" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand replay" -l json -d 'One JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand replay" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand diag" -l output -d 'The file [default: ctedge-diag-TIME.tar.zst in the current folder]' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand diag" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand diag" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand diag" -l quick -d 'Leave `ctedge doctor` out, which loads the model'
complete -c ctedge -n "__fish_ctedge_using_subcommand diag" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -l ledger -d 'Another ledger than this device\'s, e.g. a damaged one that was kept aside; reading it is not entered anywhere' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -f -a "show" -d 'Prints the entries; that it was read becomes one of them'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -f -a "verify" -d 'Checks the chain'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and not __fish_seen_subcommand_from show verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Only entries since then: a day (UTC) or an RFC 3339 time' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l ledger -d 'Another ledger than this device\'s, e.g. a damaged one that was kept aside; reading it is not entered anywhere' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'One JSON object a line, each exactly as the chain\'s digests cover it'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -l xml -d 'One XML document a line, as audit repositories take it (DICOM PS3.15, A.5.1)'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from verify" -l head -d 'A head as `counters` has published it; the entry of that number must be that one' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ledger -d 'Another ledger than this device\'s, e.g. a damaged one that was kept aside; reading it is not entered anywhere' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from verify" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'Prints the entries; that it was read becomes one of them'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Checks the chain'
complete -c ctedge -n "__fish_ctedge_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand schema" -l write -d 'Writes all of them as files into this folder' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand schema" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand schema" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand schema" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand manual" -l write -d 'Folder for `ctedge.1` and a page for each command, and for `ctedge.bash`, `ctedge.fish` and `_ctedge`' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand manual" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand manual" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand manual" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand pseudonym" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand pseudonym" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand pseudonym" -l series -d 'The UID is a Series Instance UID'
complete -c ctedge -n "__fish_ctedge_using_subcommand pseudonym" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "list" -d 'Prints the generations of the site\'s key, the newest first, and the keys that models may be signed with'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "rotate-site" -d 'Adds a generation; the older ones stay'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "drop-old" -d 'Forgets all generations but the newest: their pseudonyms can be computed no longer'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "trust" -d 'Takes a root document: the first is pinned in `infer.trust`, a later one must follow the one before'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "revoke" -d 'From now on takes nothing that a key has signed, on this device; there is no way back but a new key'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and not __fish_seen_subcommand_from list rotate-site drop-old trust revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from list" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from list" -l json -d 'One JSON object'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from rotate-site" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from rotate-site" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from rotate-site" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from drop-old" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from drop-old" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from drop-old" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from trust" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from trust" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from revoke" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from revoke" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "list" -d 'Prints the generations of the site\'s key, the newest first, and the keys that models may be signed with'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "rotate-site" -d 'Adds a generation; the older ones stay'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "drop-old" -d 'Forgets all generations but the newest: their pseudonyms can be computed no longer'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "trust" -d 'Takes a root document: the first is pinned in `infer.trust`, a later one must follow the one before'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'From now on takes nothing that a key has signed, on this device; there is no way back but a new key'
complete -c ctedge -n "__fish_ctedge_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand worker" -l memory-bytes -r
complete -c ctedge -n "__fish_ctedge_using_subcommand worker" -l cpu-s -r
complete -c ctedge -n "__fish_ctedge_using_subcommand worker" -l config -d 'Configuration file [default: /etc/ctedge/config.toml, if it is there]; `conf.d/*.toml` beside it are read after it' -r -F
complete -c ctedge -n "__fish_ctedge_using_subcommand worker" -l set -d 'Overrides one key, e.g. `--set mqtt.host=broker.example`; may be given several times' -r
complete -c ctedge -n "__fish_ctedge_using_subcommand worker" -s h -l help -d 'Print help'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "run" -d 'Runs the daemon until it is told to stop'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "process" -d 'Runs the model on a scan without the daemon and prints the result'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "inspect" -d 'Shows what a file or folder holds: series, geometry, HU range, problems'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "status" -d 'Shows how the daemon of this device is: health, counters, queue, outbox, model, last result'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "watch" -d 'Prints the messages of this device\'s topics as they arrive'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "model" -d 'Shows and changes the models of this device: install, activate, rollback'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "send" -d 'Sends a command to this device over the broker and says what becomes of it'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "check-config" -d 'Checks the configuration and prints every problem; `--print` shows it as it is meant'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "doctor" -d 'Checks this device: folders, ONNX Runtime, model, broker'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "bench" -d 'Times the model on this device, and compares its numbers with the processor\'s'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "replay" -d 'Does a recorded result once more from the kept files, and says whether the same comes out'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "diag" -d 'Writes a bundle for support: what runs and how, without names of people, machines and places'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "audit" -d 'Shows the audit log, or checks that nothing in it was changed, left out or cut off'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "schema" -d 'Prints the contract for machines: JSON Schemas of the messages, and the topics as AsyncAPI'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "manual" -d 'Writes man pages and completions for shells, for those who package this'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "pseudonym" -d 'Prints the pseudonym of a UID under this site\'s key'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "key" -d 'The site\'s key of pseudonyms: its generations, a new one, and the end of the old ones'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "worker" -d 'A worker process of the daemon; not for people'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and not __fish_seen_subcommand_from run process inspect status watch model send check-config doctor bench replay diag audit schema manual pseudonym key worker help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "list" -d 'Shows what is in the two slots'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "install" -d 'Takes a bundle: NAME-VERSION.ctb with its .minisig beside it, or a folder that holds one'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "activate" -d 'Has the model that is staged or in the shadow count'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "rollback" -d 'Has the model in the other slot count again'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'Prints the entries; that it was read becomes one of them'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Checks the chain'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "list" -d 'Prints the generations of the site\'s key, the newest first, and the keys that models may be signed with'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "rotate-site" -d 'Adds a generation; the older ones stay'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "drop-old" -d 'Forgets all generations but the newest: their pseudonyms can be computed no longer'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "trust" -d 'Takes a root document: the first is pinned in `infer.trust`, a later one must follow the one before'
complete -c ctedge -n "__fish_ctedge_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "revoke" -d 'From now on takes nothing that a key has signed, on this device; there is no way back but a new key'
