-- wrk's requests: each of its threads is one session, with a Cookie header of its own. Arguments: method, octets of the
-- body, "close" or "keep", then one Cookie header for each thread. What was measured is printed as one line of JSON.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  wrk.method = args[1]
  if tonumber(args[2]) > 0 then wrk.body = string.rep("x", tonumber(args[2])) end
  if args[3] == "close" then wrk.headers["Connection"] = "close" end
  wrk.headers["Cookie"] = args[3 + number]
  wrk.headers["Host"] = "compare.test"
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
  wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
  wrk.headers["Accept-Language"] = "en-US,en;q=0.5"
  wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
  local request = wrk.format()
  wrk.request = function() return request end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "errors": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50), latency:percentile(99)))
end
