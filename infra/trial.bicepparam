// A trial: the app looks at one mailbox and says what it would submit. Nothing reaches Microsoft before you set
// submissionMode to 'live'.

using 'main.bicep'

param namePrefix = 'reporttrial'
param tags = { purpose: 'trial of Defender Submissions' }

param reportingMailboxes = ['phish-reports-trial@contoso.com']
param tenantDomains = ['contoso.com']

param simulationMarks = 'none'

param submissionMode = 'shadow'
param quotaPer15Min = 20
param quotaPerDay = 200
param quotaReservedForPeople = 5
param quotaReservedForUrgent = 5
param evidenceDays = 7
param logDailyCapGB = 1
