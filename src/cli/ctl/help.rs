//! Usage, kinds and examples that the help of `ctl` and its subcommands shows.

pub(super) const EXAMPLES: &str = "\
Examples:
  mockingbird ctl status
  mockingbird ctl spike http_requests_total --multiplier 5 --duration 1m --label region=us-east-1
  mockingbird ctl spike --end http_requests_total
  mockingbird ctl error-rate http_requests_total --rate 0.2 --duration 30
  mockingbird ctl fault reset --metric http_requests_total
  mockingbird ctl fault scrape_error --status 500 --rate 0.1 --duration 60
  mockingbird ctl fault --end 3
  mockingbird ctl rollout pods deployment --over 10m --label namespace=shop
  mockingbird ctl restart pods pod --percent 5 --down 30s
  mockingbird ctl outage pods node --label node=worker-07 --down 5m --move
  mockingbird ctl size pods pod 50% --over 1h
  mockingbird ctl scenario deploy_gone_wrong
  mockingbird ctl scenario deploy_gone_wrong --stop
  mockingbird ctl reload
  mockingbird ctl journal > run.journal
  mockingbird ctl series --metric http_requests_total --match region=us-east-1 --limit 5
  mockingbird ctl --url http://a:8081 --url http://b:8081 scenario deploy_gone_wrong
  mockingbird ctl --urls-from http://a:8000/sd --urls-from http://b:8000/sd status

Several instances:
  They have to be of one run: the same configuration, version, epoch and tick interval, and all of
  its shards if it has any. A change is made at all of them from the same tick on, or at none: they
  agree on one that is --ahead of the latest, each says whether it can, and only if all can is it
  confirmed. The command waits for that tick and names whoever did not do it. status shows one line
  for each; journal takes one instance at a time.

Environment:
  MOCKINGBIRD_URL            instead of --url; several with commas between them
  MOCKINGBIRD_CONTROL_TOKEN  the token, where the instance asks for one

Exit codes: 0 done, 1 not reached or not able to, 2 refused.";

pub(super) const SPIKE_USAGE: &str = "\
mockingbird ctl spike [OPTIONS] --multiplier <F> --duration <DURATION> <METRIC>
       mockingbird ctl spike --end <METRIC>";

pub(super) const SPIKE_EXAMPLES: &str = "\
Examples:
  mockingbird ctl spike http_requests_total --multiplier 5 --duration 1m --label region=us-east-1
  mockingbird ctl spike request_seconds --target rate --multiplier 0.5 --duration 1h
  mockingbird ctl spike --end http_requests_total";

pub(super) const ERROR_RATE_USAGE: &str = "\
mockingbird ctl error-rate [OPTIONS] --rate <P> --duration <DURATION> <METRIC>
       mockingbird ctl error-rate --end <METRIC>";

pub(super) const ERROR_RATE_EXAMPLES: &str = "\
Examples:
  mockingbird ctl error-rate http_requests_total --rate 0.2 --duration 30
  mockingbird ctl error-rate --end http_requests_total";

pub(super) const FAULT_USAGE: &str = "\
mockingbird ctl fault [OPTIONS] <KIND>
       mockingbird ctl fault --end <ID>";

pub(super) const FAULT_HELP: &str = "\
Kinds:
  nan              values of gauges and quantiles of summaries turn into NaN
  reset            counters, histograms and summaries restart from zero
  stale            series vanish, and return
  scrape_error     scrapes are answered with a status that is an error
  scrape_delay     scrapes are answered late, by --delay
  scrape_truncate  the bodies of scrapes end early
  scrape_close     connections of scrapes are closed without an answer
  push_error       pushes fail before they are sent

Examples:
  mockingbird ctl fault reset --metric http_requests_total
  mockingbird ctl fault stale --label region=us-east-1 --rate 0.1 --duration 10m
  mockingbird ctl fault scrape_error --status 500 --rate 0.1 --duration 60
  mockingbird ctl fault scrape_delay --delay 2s
  mockingbird ctl fault scrape_close --label pod=web-0 --period 5m
  mockingbird ctl fault scrape_truncate --target shop,web-0 --duration 10m
  mockingbird ctl fault --end 3";

pub(super) const ROLLOUT_EXAMPLES: &str = "\
Examples:
  mockingbird ctl rollout pods deployment --over 10m --overlap 30s
  mockingbird ctl rollout pods deployment --label namespace=shop --percent 50";

pub(super) const RESTART_EXAMPLES: &str = "\
Examples:
  mockingbird ctl restart pods pod --percent 5 --down 30s";

pub(super) const OUTAGE_EXAMPLES: &str = "\
Examples:
  mockingbird ctl outage pods node --label node=worker-07 --down 5m --move";

pub(super) const REPLACE_EXAMPLES: &str = "\
Examples:
  mockingbird ctl replace pods pod --over 1h";

pub(super) const RELABEL_EXAMPLES: &str = "\
Examples:
  mockingbird ctl relabel pods pod --percent 10";

pub(super) const SIZE_EXAMPLES: &str = "\
Examples:
  mockingbird ctl size pods pod 50% --over 1h
  mockingbird ctl size pods pod 200
  mockingbird ctl size pods pod 20 --label namespace=shop";

pub(super) const SCENARIO_EXAMPLES: &str = "\
Examples:
  mockingbird ctl scenario deploy_gone_wrong
  mockingbird ctl scenario deploy_gone_wrong --stop";

pub(super) const SERIES_EXAMPLES: &str = "\
Examples:
  mockingbird ctl series --metric http_requests_total --match region=us-east-1 --limit 5
  mockingbird ctl series --limit 1k --json";
