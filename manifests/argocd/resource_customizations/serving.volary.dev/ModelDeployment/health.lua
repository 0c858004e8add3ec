-- Health of a ModelDeployment. Written for a Lua without libraries: argocd-cm lends it the base functions and `table`.
local verdicts = {
  Pending = "Progressing",
  Checking = "Progressing",
  Starting = "Progressing",
  Canary = "Progressing",
  Promoting = "Progressing",
  RollingBack = "Progressing",
  Paused = "Suspended",
  Serving = "Healthy",
  RolledBack = "Degraded",
  Refused = "Degraded",
  Failed = "Degraded",
}
-- Of a condition Reconciled that is False: what goes away by itself.
local passing = {ApiUnavailable = true, InternalError = true}

local function health(status, message)
  return {status = status, message = message}
end

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

-- The verdict of a phase that this script does not know yet.
local function unknown()
  if holds("Reconciling") then
    return "Progressing"
  elseif holds("Stalled") then
    return "Degraded"
  elseif holds("Ready") then
    return "Healthy"
  end
  return "Progressing"
end

if status.phase == nil or status.observedGeneration == nil then
  return health("Progressing", "Volary has not looked at it yet")
end
if tostring(status.observedGeneration) ~= tostring(obj.metadata.generation) then
  return health("Progressing", "Volary has not looked at the latest change yet")
end

local trouble = conditions["Reconciled"]
if trouble ~= nil and trouble.status == "False" and not passing[trouble.reason] then
  return health("Degraded", trouble.reason .. ": " .. (trouble.message or ""))
end

local text = status.message or ""
local ready = conditions["Ready"]
if ready ~= nil and ready.reason ~= nil and ready.reason ~= status.phase then
  text = ready.reason .. ": " .. text
end
return health(verdicts[status.phase] or unknown(), status.phase .. ": " .. text)
