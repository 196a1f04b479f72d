# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_homing_global_optspecs
    string join \n h/help V/version
end

function __fish_homing_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_homing_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_homing_using_subcommand
    set -l cmd (__fish_homing_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c homing -n "__fish_homing_needs_command" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_needs_command" -s V -l version -d 'Print version'
complete -c homing -n "__fish_homing_needs_command" -f -a "run" -d 'Proxy traffic as a configuration file says'
complete -c homing -n "__fish_homing_needs_command" -f -a "check" -d 'Say everything that is wrong with a configuration file, or sum it up if nothing is'
complete -c homing -n "__fish_homing_needs_command" -f -a "explain" -d 'Say where a request would go, and why. Nothing is sent to a backend'
complete -c homing -n "__fish_homing_needs_command" -f -a "simulate" -d 'Say what changes of a fleet would move: sessions now and by their deadline, and where new keys go'
complete -c homing -n "__fish_homing_needs_command" -f -a "status" -d 'Show the pools and backends of a running proxy'
complete -c homing -n "__fish_homing_needs_command" -f -a "drain" -d 'Let a backend keep what it has and take nothing new, so that it can be stopped once it is empty'
complete -c homing -n "__fish_homing_needs_command" -f -a "ready" -d 'Let a backend take new work again'
complete -c homing -n "__fish_homing_needs_command" -f -a "maint" -d 'Let a backend take nothing at all; what it has moves at once'
complete -c homing -n "__fish_homing_needs_command" -f -a "sessions" -d 'Show the sessions of a pool, where one of them is, or end it'
complete -c homing -n "__fish_homing_needs_command" -f -a "reload" -d 'Let a running proxy read its file again, or say what that would change'
complete -c homing -n "__fish_homing_needs_command" -f -a "events" -d 'Tell what happens to a running proxy, as it happens'
complete -c homing -n "__fish_homing_needs_command" -f -a "completions" -d 'Write what a shell needs to complete this command line'
complete -c homing -n "__fish_homing_needs_command" -f -a "preset" -d 'Look at presets of `sticky.preset`'
complete -c homing -n "__fish_homing_needs_command" -f -a "demo" -d 'Run three stateful backends behind the proxy, with a page to play on'
complete -c homing -n "__fish_homing_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c homing -n "__fish_homing_using_subcommand run" -s c -l config -d 'The configuration file' -r -F
complete -c homing -n "__fish_homing_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand check" -s c -l config -d 'The configuration file' -r -F
complete -c homing -n "__fish_homing_using_subcommand check" -l json -d 'Write the problems as JSON: `line`, `column`, `key`, `message` and `help` of each'
complete -c homing -n "__fish_homing_using_subcommand check" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand explain" -s c -l config -d 'Ask this configuration file: with every backend taken as up, and no sessions' -r -F
complete -c homing -n "__fish_homing_using_subcommand explain" -l admin -d 'Ask a running proxy instead, by its admin listener, like http://127.0.0.1:9900' -r
complete -c homing -n "__fish_homing_using_subcommand explain" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand explain" -s H -l header -d 'A header field of the request; may be given again' -r
complete -c homing -n "__fish_homing_using_subcommand explain" -l client-ip -d 'Who sends it' -r
complete -c homing -n "__fish_homing_using_subcommand explain" -l json -d 'Write the answer as JSON'
complete -c homing -n "__fish_homing_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand simulate" -s c -l config -d 'The configuration file' -r -F
complete -c homing -n "__fish_homing_using_subcommand simulate" -l pool -d 'The pool; not needed where one pool is sticky' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l keys -d 'Keys to try it with: a file with one on each line, or how many of key-0, key-1 and so on' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l log -d 'Take the keys from an access log of `homing run`, text or JSON. It has hashes of them: how many, not which' -r -F
complete -c homing -n "__fish_homing_using_subcommand simulate" -l add -d 'Add a backend' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l remove -d 'Take a backend out of the file: its sessions leave by the drain\'s deadline' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l weight -d 'Give a backend another weight' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l drain -d 'Drain a backend' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l down -d 'Let a backend be down' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l policy -d 'Place new keys by another policy, as in `balance`' -r
complete -c homing -n "__fish_homing_using_subcommand simulate" -l json -d 'Write the figures as JSON'
complete -c homing -n "__fish_homing_using_subcommand simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand status" -l watch -d 'Look again every so many seconds, until Ctrl-C' -r
complete -c homing -n "__fish_homing_using_subcommand status" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand status" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand status" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand status" -l json -d 'Write what the admin API answers; with --watch one line for each look'
complete -c homing -n "__fish_homing_using_subcommand status" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand drain" -l timeout -d 'How long the drain may take; then the rest is moved. Without it: the pool\'s `drain.timeout`' -r
complete -c homing -n "__fish_homing_using_subcommand drain" -l wait -d 'Wait until it is so, at most until the drain\'s deadline or, where one is said, for this long' -r
complete -c homing -n "__fish_homing_using_subcommand drain" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand drain" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand drain" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand drain" -l json -d 'Write the backend\'s state as JSON'
complete -c homing -n "__fish_homing_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand ready" -l wait -d 'Wait until it is so, at most until the drain\'s deadline or, where one is said, for this long' -r
complete -c homing -n "__fish_homing_using_subcommand ready" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand ready" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand ready" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand ready" -l json -d 'Write the backend\'s state as JSON'
complete -c homing -n "__fish_homing_using_subcommand ready" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand maint" -l wait -d 'Wait until it is so, at most until the drain\'s deadline or, where one is said, for this long' -r
complete -c homing -n "__fish_homing_using_subcommand maint" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand maint" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand maint" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand maint" -l json -d 'Write the backend\'s state as JSON'
complete -c homing -n "__fish_homing_using_subcommand maint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand sessions" -l key -d 'Say where the session of this key is. Its value, as clients send it' -r
complete -c homing -n "__fish_homing_using_subcommand sessions" -l backend -d 'List only sessions of this backend' -r
complete -c homing -n "__fish_homing_using_subcommand sessions" -l limit -d 'List at most so many' -r
complete -c homing -n "__fish_homing_using_subcommand sessions" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand sessions" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand sessions" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand sessions" -l end -d 'End the session of that key: its WebSockets are closed, and its next request is placed anew'
complete -c homing -n "__fish_homing_using_subcommand sessions" -l json -d 'Write the answer as JSON'
complete -c homing -n "__fish_homing_using_subcommand sessions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand reload" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand reload" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand reload" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand reload" -l plan -d 'Only say what would change, and how many sessions would move'
complete -c homing -n "__fish_homing_using_subcommand reload" -l json -d 'Write the answer as JSON'
complete -c homing -n "__fish_homing_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c homing -n "__fish_homing_using_subcommand events" -l admin -d 'Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]' -r
complete -c homing -n "__fish_homing_using_subcommand events" -s c -l config -d 'Find its admin listener and token in this file [default: proxy.toml, if there is one]' -r -F
complete -c homing -n "__fish_homing_using_subcommand events" -l token-file -d 'The file with the token of its admin listener [env: HOMING_TOKEN_FILE]' -r -F
complete -c homing -n "__fish_homing_using_subcommand events" -l json -d 'Write each event as a line of JSON'
complete -c homing -n "__fish_homing_using_subcommand events" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand completions" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand preset; and not __fish_seen_subcommand_from show help" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand preset; and not __fish_seen_subcommand_from show help" -f -a "show" -d 'Print what a preset stands for, as one would write it in the file'
complete -c homing -n "__fish_homing_using_subcommand preset; and not __fish_seen_subcommand_from show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c homing -n "__fish_homing_using_subcommand preset; and __fish_seen_subcommand_from show" -l json -d 'Write its settings as JSON'
complete -c homing -n "__fish_homing_using_subcommand preset; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand preset; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print what a preset stands for, as one would write it in the file'
complete -c homing -n "__fish_homing_using_subcommand preset; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c homing -n "__fish_homing_using_subcommand demo" -l listen -d 'Where the proxy of the demo listens' -r
complete -c homing -n "__fish_homing_using_subcommand demo" -l log -d 'Write the proxy\'s log, one line per request, instead of warnings only'
complete -c homing -n "__fish_homing_using_subcommand demo" -s h -l help -d 'Print help'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "run" -d 'Proxy traffic as a configuration file says'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "check" -d 'Say everything that is wrong with a configuration file, or sum it up if nothing is'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "explain" -d 'Say where a request would go, and why. Nothing is sent to a backend'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "simulate" -d 'Say what changes of a fleet would move: sessions now and by their deadline, and where new keys go'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "status" -d 'Show the pools and backends of a running proxy'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "drain" -d 'Let a backend keep what it has and take nothing new, so that it can be stopped once it is empty'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "ready" -d 'Let a backend take new work again'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "maint" -d 'Let a backend take nothing at all; what it has moves at once'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "sessions" -d 'Show the sessions of a pool, where one of them is, or end it'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "reload" -d 'Let a running proxy read its file again, or say what that would change'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "events" -d 'Tell what happens to a running proxy, as it happens'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "completions" -d 'Write what a shell needs to complete this command line'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "preset" -d 'Look at presets of `sticky.preset`'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "demo" -d 'Run three stateful backends behind the proxy, with a page to play on'
complete -c homing -n "__fish_homing_using_subcommand help; and not __fish_seen_subcommand_from run check explain simulate status drain ready maint sessions reload events completions preset demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c homing -n "__fish_homing_using_subcommand help; and __fish_seen_subcommand_from preset" -f -a "show" -d 'Print what a preset stands for, as one would write it in the file'
