-- Posts a body that no other request has, and writes down each answer: its status, its
-- Retry-After or "-", and the transaction's ID or "-".
local threads = 0

function setup(thread)
	threads = threads + 1
	thread:set("id", threads)
end

function init(args)
	sent = 0
	answers = io.open(args[1] .. "/answers-" .. id, "w")
	answers:setvbuf("line") -- the test reads along, and nobody closes it
end

function request()
	sent = sent + 1
	local body = id .. "-" .. sent
	return wrk.format("POST", nil, { ["Idempotency-Key"] = body, ["Content-Type"] = "text/plain" }, body)
end

function response(status, headers, body)
	local transaction = body:match('"transaction":"([^"]+)"') or "-"
	answers:write(status, " ", headers["Retry-After"] or "-", " ", transaction, "\n")
end
