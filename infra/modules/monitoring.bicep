// Where the app's telemetry goes, and who is told: a Log Analytics workspace, Application Insights on top of it, and an
// action group. What is held: telemetry is taken from an Entra identity only, so that a leaked connection string lets
// nobody write.

@description('Azure region.')
param location string

@description('Tags of everything.')
param tags { *: string }

@description('Name of the action group.')
param actionGroupName string

@description('What mails and messages name as their sender.')
@minLength(1)
@maxLength(12)
param actionGroupShortName string

@description('Name of the workspace.')
@minLength(4)
@maxLength(63)
param workspaceName string

@description('Name of the Application Insights component.')
@minLength(1)
@maxLength(260)
param applicationInsightsName string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('Most gigabytes taken in a day.')
@minValue(1)
param dailyCapGB int

@description('Addresses that alerts are mailed to.')
param alertEmails string[]

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    workspaceCapping: { dailyQuotaGb: dailyCapGB }
    features: {
      disableLocalAuth: true
      // Who may read the app in Azure may read its logs, with no right on the whole workspace.
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
  }
}

resource mails 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmails)) {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: actionGroupShortName
    emailReceivers: [
      for (email, i) in alertEmails: { name: 'mail-${i + 1}', emailAddress: email, useCommonAlertSchema: true }
    ]
  }
}
