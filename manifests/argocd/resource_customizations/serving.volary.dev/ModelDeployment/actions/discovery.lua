-- What can be asked of a ModelDeployment now; what Volary would refuse is disabled.
local status = obj.status or {}
local rollout = status.rollout or {}
local canary = status.canary ~= nil
local paused = rollout.paused == true

local wishes = obj.spec.rollout or {}
local steps = wishes.steps or {}
local step = rollout.step or -1
local in_a_step = canary and wishes.strategy ~= "BlueGreen" and step >= 0 and step < #steps

local failed = {RollingBack = true, RolledBack = true, Refused = true, Failed = true}

local function earlier()
  for _, entry in ipairs(status.history or {}) do
    if entry.promoted and entry.failed == nil and (status.stable == nil or entry.revision ~= status.stable.revision) then
      return true
    end
  end
  return false
end

local function action(enabled, name, icon)
  return {disabled = not enabled, displayName = name, iconClass = "fa fa-fw " .. icon}
end

return {
  promote = action(canary, "Promote without further evidence", "fa-forward-fast"),
  approve = action(canary and rollout.awaitsApproval == true, "Approve", "fa-circle-check"),
  skip = action(in_a_step, "Skip this step", "fa-forward-step"),
  pause = action(canary and not paused, "Pause", "fa-circle-pause"),
  resume = action(canary and paused, "Resume", "fa-circle-play"),
  abort = action(canary, "Abort", "fa-circle-xmark"),
  retry = action(failed[status.phase] == true, "Retry", "fa-rotate-right"),
  rollback = action(earlier(), "Roll back to the revision before", "fa-rotate-left"),
}
